"""Each step is taken whatever became of the ones before."""

from collections.abc import Iterator

import pytest

from gameday.errors import NotHealed
from gameday.host.stages import causes, each


def failing(before: str, error: Exception) -> Iterator[str]:
    yield before
    raise error


def test_a_step_that_fails_keeps_no_other_from_its_part() -> None:
    seen: list[str] = []
    stages = [failing("a", OSError("one")), failing("b", NotHealed("two"))]
    with pytest.raises(ExceptionGroup, match="all of it") as raised:
        seen.extend(each("all of it", stages))
    assert seen == ["a", "b"]
    assert causes(raised.value) == ["OSError: one", "two"]


def test_nothing_is_raised_when_nothing_failed() -> None:
    assert list(each("all of it", [iter(["a"]), iter([]), iter(["b"])])) == ["a", "b"]


def test_groups_within_groups_are_told_one_by_one() -> None:
    inner = ExceptionGroup("inner", [NotHealed("one"), NotHealed("two")])
    assert causes(ExceptionGroup("outer", [inner, ValueError("three")])) == [
        "one",
        "two",
        "ValueError: three",
    ]
