from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.loading import load_slas
from gameday.loading.parsing import read_node
from gameday.model.scenario import Sla, Vocabulary
from gameday.model.units import parse_limit

Complaints = Callable[[Callable[[], object]], list[str]]

GOOD = """\
slas: arbees
document: 002.txt
title: Fault tolerance
promises:
  mttr: {title: Recovery, recovery: "< 2min", section: A, quote: "MTTR", severity: critical}
  loss: {title: No loss, lost: "== 0", section: B, quote: "No loss"}
"""


def test_a_promise_is_named_after_its_file_and_its_key(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    (tmp_path / "arbees.yaml").write_text(GOOD)
    slas = load_slas(tmp_path, vocabulary)
    assert list(slas) == ["arbees/mttr", "arbees/loss"]
    assert slas["arbees/mttr"] == Sla(
        name="arbees/mttr",
        title="Recovery",
        finding="recovery",
        limit=parse_limit("< 2min"),
        document="002.txt",
        section="A",
        quote="MTTR",
        severity="critical",
    )
    assert slas["arbees/loss"].severity == "normal"


ONE_PROBLEM = {
    "a promise without a limit": (
        'lost: "== 0", ',
        "",
        "6:9: promises.loss: names no finding; valid: availability, lost, outage, recovery",
    ),
    "a promise with a finding that is spelled otherwise": (
        "recovery:",
        "recovry:",
        (
            "5:27: promises.mttr.recovry: unknown finding; "
            "valid: availability, lost, outage, recovery; nearest: 'recovery'"
        ),
    ),
    "a promise with two limits": (
        'lost: "== 0"',
        'lost: "== 0", outage: "< 1s"',
        "6:40: promises.loss.outage: one finding an item: this is a second one",
    ),
    "a limit in another unit than its finding": (
        '"== 0"',
        '"< 1%"',
        (
            "6:32: promises.loss.lost: '< 1%' is a percentage, but lost is a whole number; "
            "write it as in '== 0'"
        ),
    ),
    "a promise without its words": (
        ', quote: "MTTR"',
        "",
        "5:3: promises.mttr.quote: is missing",
    ),
    "an unknown severity": (
        "severity: critical",
        "severity: critic",
        (
            "5:84: promises.mttr.severity: 'critic' is not valid here; "
            "valid: blocker, critical, normal, minor, trivial; nearest: 'critical'"
        ),
    ),
}


@pytest.mark.parametrize(("old", "new", "wanted"), ONE_PROBLEM.values(), ids=list(ONE_PROBLEM))
def test_a_problem_is_told_with_its_place_and_what_is_valid(
    tmp_path: Path,
    vocabulary: Vocabulary,
    complaints: Complaints,
    old: str,
    new: str,
    wanted: str,
) -> None:
    assert GOOD.count(old) == 1
    path = tmp_path / "arbees.yaml"
    path.write_text(GOOD.replace(old, new))
    assert complaints(lambda: load_slas(path, vocabulary)) == [f"arbees.yaml:{wanted}"]


def test_a_right_promise_is_judged_beside_a_wrong_one(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    path = tmp_path / "arbees.yaml"
    path.write_text(GOOD.replace('"< 2min"', "2").replace('"== 0"', '"== 0%"'))
    told = complaints(lambda: load_slas([path], vocabulary))
    assert [line.split(": ")[1] for line in told] == [
        "promises.mttr.recovery",
        "promises.loss.lost",
    ]


def test_the_problems_of_all_files_are_told_at_once(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "c.yaml").write_text(GOOD)
    assert complaints(lambda: load_slas(tmp_path, vocabulary)) == [
        "a.yaml:1:1: is empty",
        "c.yaml:5:3: promises.mttr: another file promises the same name",
        "c.yaml:6:3: promises.loss: another file promises the same name",
    ]


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "arbees.yml"
    path.write_text(GOOD)
    read: list[Path] = []

    def counted(path: Path) -> object:
        read.append(path)
        return read_node(path)

    monkeypatch.setattr("gameday.loading.slas.read_node", counted)
    for _ in range(3):
        load_slas(tmp_path, vocabulary)
    assert read == [path]
    path.write_text(GOOD.replace("2min", "30s"))
    assert load_slas(tmp_path, vocabulary)["arbees/mttr"].limit.text == "< 30s"
    assert len(read) == 2


def test_a_link_that_leads_back_to_itself_is_a_problem_of_one_line(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert complaints(lambda: load_slas(tmp_path, vocabulary)) == [
        "loop.yaml:1:1: cannot be read: Too many levels of symbolic links"
    ]


def test_promises_of_a_set_without_a_name_are_not_the_same(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("slas: arbees\n", ""))
    assert complaints(lambda: load_slas(tmp_path, vocabulary)) == [
        "a.yaml:1:1: slas: is missing",
        "b.yaml:1:1: slas: is missing",
    ]


def test_a_folder_without_files_promises_nothing(tmp_path: Path, vocabulary: Vocabulary) -> None:
    assert load_slas(tmp_path, vocabulary) == {}


def test_a_file_that_is_not_there_is_a_problem(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    assert complaints(lambda: load_slas(tmp_path / "a.yaml", vocabulary)) == [
        "a.yaml:1:1: cannot be read: No such file or directory"
    ]
