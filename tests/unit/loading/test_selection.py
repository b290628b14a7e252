from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.errors import ScenarioError
from gameday.loading import find_scenarios

Complaints = Callable[[Callable[[], object]], list[str]]

NAMES = ("pg-failover", "redis-cut", "redis-restart")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scenarios"
    (folder / "slas").mkdir(parents=True)
    (folder / "slas" / "redis-sla.yaml").write_text("")
    for name, tags in zip(NAMES, ("[nightly]", "[quick]", "[nightly, quick]"), strict=True):
        # What stands after the tags is not looked at, so it may as well be broken.
        (folder / f"{name}.yaml").write_text(f"scenario: {name}\ntags: {tags}\nrest: ]")
    return folder


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("redis-cut", ["redis-cut"]),
        ("redis-*", ["redis-cut", "redis-restart"]),
        ("redis-c?t", ["redis-cut"]),
        ("*", list(NAMES)),
        ("tag:nightly", ["pg-failover", "redis-restart"]),
        ("redis-restart, tag:quick ,", ["redis-restart", "redis-cut"]),
    ],
)
def test_a_selector_means_these_scenarios(folder: Path, selector: str, wanted: list[str]) -> None:
    found = find_scenarios(selector, [folder])
    assert found == [folder / f"{name}.yaml" for name in wanted]


def test_a_path_means_itself(folder: Path) -> None:
    path = folder / "redis-cut.yaml"
    assert find_scenarios(str(path), []) == [path]


def test_a_name_needs_no_parsing(folder: Path) -> None:
    (folder / "broken.yaml").write_bytes(b"\xff")
    assert find_scenarios("broken", [folder]) == [folder / "broken.yaml"]


def test_the_first_folder_counts(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "redis-cut.yaml").write_text("")
    assert find_scenarios("redis-cut", [own, folder]) == [own / "redis-cut.yaml"]


def test_what_means_nothing_is_told_with_the_known_and_the_nearest(
    folder: Path, complaints: Complaints
) -> None:
    selector = "redis-restrat,kafka-*,tag:nigthly,missing/redis-cut.yaml,redis-cut"
    assert complaints(lambda: find_scenarios(selector, [folder])) == [
        (
            "no scenario 'redis-restrat' in scenarios; "
            "valid: pg-failover, redis-cut, redis-restart; nearest: 'redis-restart'"
        ),
        "no scenario in scenarios matches 'kafka-*'; valid: pg-failover, redis-cut, redis-restart",
        "no scenario in scenarios has the tag 'nigthly'; valid: nightly, quick; nearest: 'nightly'",
        (
            "no scenario file 'missing/redis-cut.yaml'; "
            "valid: pg-failover, redis-cut, redis-restart; nearest: 'redis-cut'"
        ),
    ]


def test_an_empty_selector_is_told_what_there_is(folder: Path, complaints: Complaints) -> None:
    assert complaints(lambda: find_scenarios(" , ", [folder])) == [
        "no scenario is named; valid: pg-failover, redis-cut, redis-restart"
    ]


def test_without_any_scenario_there_is_none_to_name(tmp_path: Path, complaints: Complaints) -> None:
    folder = tmp_path / "missing"
    assert complaints(lambda: find_scenarios("a", [folder])) == [
        "no scenario 'a' in missing; there are none"
    ]


def test_a_file_whose_tags_cannot_be_read_is_not_left_out_silently(
    folder: Path, complaints: Complaints
) -> None:
    (folder / "broken.yaml").write_bytes(b"\xff")
    (folder / "odd.yaml").write_text("tags: nightly\n")
    assert complaints(lambda: find_scenarios("tag:nightly", [folder])) == [
        "scenarios/broken.yaml:1:1: byte 0xff is not UTF-8",
        "scenarios/odd.yaml:1:7: tags: wanted a list of names",
    ]


def test_a_path_that_no_file_can_have_is_told_as_any_other(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario file"):
        find_scenarios("a" * 300 + ".yaml", [tmp_path])
