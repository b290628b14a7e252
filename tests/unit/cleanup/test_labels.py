"""What carries a run's marks is found, and nothing that merely looks alike."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import psutil
import pytest

from gameday.cleanup import labels as marks
from gameday.cleanup.labels import (
    folders_of,
    is_run,
    labelled,
    labelled_folders,
    labelled_processes,
    make_folder,
)
from gameday.cleanup.owner import this_owner

Start = Callable[[Path, dict[str, str]], "subprocess.Popen[bytes]"]


@pytest.fixture
def run() -> str:
    return token_hex(4)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for temporary folders, and the only one where anybody looks."""
    found = tmp_path / "temporary"
    found.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(found))
    monkeypatch.setattr(marks, "_TEMPORARY", (str(found),))
    return found


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `sleep 60` in a folder with an environment of its own."""
    started = []

    def sleep(folder: Path, env: dict[str, str]) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(["/bin/sleep", "60"], cwd=folder, env=env)
        started.append(process)
        # Until it is a program of its own it has another environment, or none for a moment.
        while env and psutil.Process(process.pid).environ() != env:
            time.sleep(0.001)
        return process

    yield sleep
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["notes", "*", "0badcaf", "0badcafe0", "0BADCAFE", "0badcaf\n"])
def test_a_run_has_eight_hexadecimal_digits(name: str) -> None:
    assert not is_run(name)
    assert is_run("0badcafe")


def test_a_folder_of_a_run_is_found_with_its_owner(root: Path, run: str) -> None:
    folder = make_folder(run)
    assert folder.parent == root
    assert labelled_folders() == [(run, this_owner())]
    assert folders_of(run) == [folder]
    assert folders_of("*") == [], "an id is no pattern"


@pytest.mark.parametrize("name", ["gameday-notes-2024", "gameday-20240101-notes", "gameday-x"])
def test_a_folder_that_no_run_made_belongs_to_none(root: Path, name: str) -> None:
    (root / name).mkdir()
    (root / name / "notes.txt").write_text("mine")
    assert labelled_folders() == []
    for found in ("notes", "20240101", "*"):
        assert folders_of(found) == []


def test_a_folder_whose_maker_died_at_once_goes_with_its_run(root: Path, run: str) -> None:
    (root / f"gameday-{run}-abc").mkdir()
    assert labelled_folders() == [], "it does not say whose it is"
    assert folders_of(run) == [root / f"gameday-{run}-abc"]


def test_a_folder_in_a_place_of_its_own_is_found_from_elsewhere(
    root: Path, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    folder = make_folder(run)
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    assert folder.parent == tmp_path / "scratch"
    assert labelled_folders() == [(run, this_owner())]
    assert folders_of(run)[0] == folder
    assert [other.parent for other in folders_of(run)[1:]] == [root], "what announces it goes last"


def test_a_process_with_the_marks_is_found_wherever_it_works(
    run: str, tmp_path: Path, start: Start
) -> None:
    process = start(tmp_path, {"PATH": "/bin", **marks.labels_of(run)})
    assert [(m.process.pid, m.owner) for m in labelled_processes(run)] == [
        (process.pid, this_owner())
    ]


def test_a_server_that_has_overwritten_its_environment_is_known_by_its_folder(
    root: Path, run: str, start: Start
) -> None:
    process = start(make_folder(run), {"TITLE": "redis-server *:6379"})
    assert [labelled.process.pid for labelled in labelled_processes(run)] == [process.pid]


@pytest.mark.parametrize("env", [{"PATH": "/bin"}, {}], ids=["shell", "just-being-started"])
def test_whoever_looks_into_a_folder_of_a_run_is_not_part_of_it(
    root: Path, run: str, start: Start, env: dict[str, str]
) -> None:
    start(make_folder(run), env)
    assert labelled_processes(run) == []


def test_no_mark_stays_behind(run: str, tmp_path: Path) -> None:
    with labelled(run):
        pass
    child = subprocess.run(["env"], capture_output=True, text=True, check=True)
    assert run not in child.stdout
