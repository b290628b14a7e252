"""A run is started beside nothing that an earlier one has left."""

import pytest

from gameday.cleanup import abandoned
from gameday.errors import EnvironmentRefused


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is left of the one run whose owner is dead; each reaping removes the first of it."""
    things = ["container a", "network b"]

    def reap(run: str, *, in_docker: bool) -> tuple[str, ...]:
        assert (run, in_docker) == ("deadbeef", True)
        return (things.pop(0),) if things and things[0] != "stuck" else ()

    monkeypatch.setattr(abandoned, "abandoned_runs", lambda *, in_docker: ("deadbeef",))
    monkeypatch.setattr(abandoned, "reap", reap)
    monkeypatch.setattr(abandoned, "leftovers_of", lambda run, *, in_docker: tuple(things))
    monkeypatch.setattr(abandoned, "_PAUSE_S", 0.0)
    monkeypatch.setattr(abandoned, "_LIMIT_S", 0.05)
    return things


def test_what_is_left_is_removed_until_nothing_is(left: list[str]) -> None:
    said = list(abandoned.heal_abandoned(in_docker=True))
    assert said == ["run deadbeef was abandoned; removed container a"]
    assert left == []


def test_what_cannot_be_removed_keeps_others_from_starting(left: list[str]) -> None:
    left[:] = ["stuck"]
    with pytest.raises(
        EnvironmentRefused, match="run deadbeef left stuck, which cannot be removed"
    ):
        list(abandoned.heal_abandoned(in_docker=True))
