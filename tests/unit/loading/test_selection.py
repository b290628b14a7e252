import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

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


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    """A folder of scenarios that come with gameday, one of which the project has as well."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    for name in ("redis-cut", "usual"):
        (folder / f"{name}.yaml").write_text(f"scenario: {name}\ntags: [nightly]\n")
    return folder


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("*", [f"scenarios/{name}" for name in NAMES]),
        ("tag:nightly", ["scenarios/pg-failover", "scenarios/redis-restart"]),
        ("usual", ["bundled/usual"]),
        ("redis-cut", ["scenarios/redis-cut"]),
        ("bundled:redis-cut", ["bundled/redis-cut"]),
        ("bundled:*", ["bundled/redis-cut", "bundled/usual"]),
        ("bundled:tag:nightly", ["bundled/redis-cut", "bundled/usual"]),
    ],
)
def test_globs_and_tags_mean_the_projects_own_scenarios(
    folder: Path, bundled: Path, tmp_path: Path, selector: str, wanted: list[str]
) -> None:
    found = find_scenarios(selector, [folder], bundled)
    assert found == [tmp_path / f"{path}.yaml" for path in wanted]


@pytest.mark.parametrize("selector", ["*", "tag:nightly", "bundled:*"])
def test_without_scenarios_of_its_own_a_project_has_those_that_come_with_gameday(
    bundled: Path, tmp_path: Path, selector: str
) -> None:
    found = find_scenarios(selector, [tmp_path / "none"], bundled)
    assert [path.name for path in found] == ["redis-cut.yaml", "usual.yaml"]


def test_a_pattern_that_means_none_of_the_projects_says_how_the_others_are_meant(
    folder: Path, bundled: Path, complaints: Complaints
) -> None:
    (told,) = complaints(lambda: find_scenarios("us*", [folder], bundled))
    assert told == (
        "no scenario in scenarios matches 'us*'; valid: pg-failover, redis-cut, redis-restart; "
        "for those that come with gameday write 'bundled:us*'"
    )


def test_the_other_suffix_of_yaml_is_found_by_name(folder: Path) -> None:
    (folder / "other.yml").write_text("scenario: other\ntags: [quick]\n")
    for selector in ("other", "oth*", str(folder / "other.yml")):
        assert find_scenarios(selector, [folder]) == [folder / "other.yml"]
    assert folder / "other.yml" in find_scenarios("tag:quick", [folder])


def test_two_files_of_one_name_are_told_apart_by_who_wrote_them(
    folder: Path, complaints: Complaints
) -> None:
    (folder / "redis-cut.yml").write_text("scenario: redis-cut\n")
    told = ["the scenario 'redis-cut' has two files, redis-cut.yaml, redis-cut.yml; rename one"]
    assert complaints(lambda: find_scenarios("redis-cut", [folder])) == told
    assert complaints(lambda: find_scenarios("*", [folder])) == told
    assert find_scenarios("redis-restart", [folder]) == [folder / "redis-restart.yaml"]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize("how", ["{}", "caf*-{}", "{folder}/{}.yaml", "tag:{}"])
def test_an_accent_is_one_character_or_two(
    tmp_path: Path, on_disk: Literal["NFC", "NFD"], asked: Literal["NFC", "NFD"], how: str
) -> None:
    name = unicodedata.normalize(on_disk, "café-é")
    (tmp_path / f"{name}.yaml").write_text(f"scenario: {name}\ntags: [{name}]\n")
    written = unicodedata.normalize(asked, "café-é" if "*" not in how else "é")
    selector = how.format(written, folder=tmp_path)
    assert find_scenarios(selector, [tmp_path]) == [tmp_path / f"{name}.yaml"]


def test_a_folder_means_every_file_in_it(folder: Path, complaints: Complaints) -> None:
    found = find_scenarios(f"{folder}/", [])
    assert found == [folder / f"{name}.yaml" for name in NAMES]
    (folder / "none").mkdir()
    (told,) = complaints(lambda: find_scenarios(f"{folder}/none", []))
    assert told.startswith("no scenario file is in the folder")


def test_a_path_is_the_same_however_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    ways = "scenarios/redis-cut.yaml,./scenarios/../scenarios/redis-cut.yaml"
    assert find_scenarios(ways, []) == [folder / "redis-cut.yaml"]


def test_a_list_of_what_is_valid_is_never_endless(folder: Path, complaints: Complaints) -> None:
    for number in range(500):
        (folder / f"more-{number:03}.yaml").write_text("")
    (told,) = complaints(lambda: find_scenarios("mroe-001", [folder]))
    assert told.endswith("and 423 more; nearest: 'more-001'")
    assert len(told) < 2_000


def test_a_path_that_no_file_can_have_is_told_as_any_other(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario file"):
        find_scenarios("a" * 300 + ".yaml", [tmp_path])
