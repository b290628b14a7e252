"""What others can plant is never taken for ours: links, pipes, folders, processes, janitors."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import psutil
import pytest

from gameday.cleanup import labels as marks
from gameday.cleanup import owner
from gameday.cleanup import reaper as reaping
from gameday.cleanup.labels import (
    SUPERVISOR,
    belonging_to_others,
    folders_of,
    labelled,
    labelled_folders,
    labelled_processes,
    make_folder,
    supervisors,
)
from gameday.cleanup.owner import this_owner
from gameday.host import faketime as clocks
from gameday.host.faketime import FakeClock, clock_files_of, clocked_runs
from gameday.host.ours import read_ours

STRANGER = 4242


@pytest.fixture
def run() -> str:
    return token_hex(4)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place for temporary folders and shared memory."""
    for name in ("temporary", "shared"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(marks, "_TEMPORARY", (str(tmp_path / "temporary"),))
    monkeypatch.setattr(clocks, "_SHARED", tmp_path / "shared")
    monkeypatch.setattr(reaping, "cgroups_named", lambda prefix: ())
    return tmp_path / "temporary"


@pytest.fixture
def sleeper(run: str) -> Iterator["subprocess.Popen[bytes]"]:
    with labelled(run):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    while not labelled_processes(run):
        time.sleep(0.001)
    yield process
    process.kill()
    process.wait()


def test_a_folder_of_another_user_is_nobodys_and_is_mentioned(
    root: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(run)
    assert belonging_to_others() == []
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert labelled_folders() == []
    assert folders_of(run) == []
    assert reaping.owners(in_docker=False) == {}
    assert f"{folder}, which is not ours but belongs to user {mine}" in (belonging_to_others(run))
    assert list(reaping.removal(run, in_docker=False)) == []
    assert folder.is_dir()


def test_a_link_to_a_folder_is_no_folder(root: Path, run: str, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "owner").write_text("nobody")
    (root / f"gameday-{run}-x").symlink_to(tmp_path / "precious")
    assert folders_of(run) == []
    assert labelled_folders() == []
    assert list(reaping.removal(run, in_docker=False)) == []
    assert (tmp_path / "precious" / "owner").read_text() == "nobody"


def test_an_owner_that_is_a_link_or_a_pipe_is_none(root: Path, run: str, tmp_path: Path) -> None:
    (tmp_path / "told").write_text(this_owner())
    linked, piped = root / f"gameday-{run}-link", root / f"gameday-{run}-pipe"
    linked.mkdir()
    piped.mkdir()
    (linked / "owner").symlink_to(tmp_path / "told")
    os.mkfifo(piped / "owner")
    assert labelled_folders() == []
    assert folders_of(run) == []
    with pytest.raises(OSError, match="is not ours"):
        read_ours(piped / "owner")


def test_a_process_of_another_user_has_no_marks(
    root: Path, run: str, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert labelled_processes(run) == []
    assert reaping.reap(run, in_docker=False) == ()
    assert sleeper.poll() is None
    assert any(f"process {sleeper.pid} of user" in what for what in belonging_to_others(run))


def test_a_process_with_an_account_that_is_not_ours_is_not_ours(
    run: str, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts a setuid program may give it any environment."""
    mine = psutil.Process(sleeper.pid).uids()
    started_by_another = type(mine)(real=STRANGER, effective=mine.effective, saved=mine.saved)
    monkeypatch.setattr(psutil.Process, "uids", lambda self: started_by_another)
    assert labelled_processes(run) == []


def test_a_janitor_that_names_a_process_which_did_not_start_it_is_none(
    run: str, sleeper: "subprocess.Popen[bytes]"
) -> None:
    pretends = "import sys, time; print(flush=True); time.sleep(60)"
    for number, wanted in {sleeper.pid: False, os.getpid(): True}.items():
        named = this_owner() if number == os.getpid() else _owner_of(number)
        arguments = ["-c", pretends, SUPERVISOR, run, "process", named]
        supervisor = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)
        try:
            assert supervisor.stdout is not None
            supervisor.stdout.readline()
            assert (run in supervisors()) == wanted
        finally:
            supervisor.kill()
            supervisor.communicate()


def test_an_owner_of_another_user_is_not_asked_to_end(
    run: str, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    named = _owner_of(sleeper.pid)
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: STRANGER)
        with pytest.raises(PermissionError):
            owner.ask_to_end(named)
    assert sleeper.poll() is None
    owner.ask_to_end(named)
    assert sleeper.wait(5) == -signal.SIGTERM


def test_shared_memory_of_another_user_or_a_link_is_no_clock(
    root: Path, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    (tmp_path / "precious").write_text("x")
    (shared / f"clock-gameday-{run}-link").symlink_to(tmp_path / "precious")
    assert clock_files_of(run) == []
    (shared / f"clock-gameday-{run}-app").touch()
    assert clocked_runs() == {run}
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert clocked_runs() == set()
    assert clocks.forget(run) == ()
    assert (shared / f"clock-gameday-{run}-app").exists()


def test_a_clock_follows_no_link_and_nobody_else_can_open_it(
    root: Path, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "find_libfaketime", lambda: Path("/lib/libfaketime.so.1"))
    precious = tmp_path / "precious"
    precious.write_text("kept")
    before = precious.stat().st_mode
    shared = tmp_path / "shared"
    planted = [
        f"{kind}clock-gameday-{run}-app{end}" for kind in ("", "sem.") for end in ("", ".new")
    ]
    for name in planted:
        (shared / name).symlink_to(precious)
    clock = FakeClock(run, "app", root)
    for _ in range(2):
        clock.variables(None)
        clock.say("+1\n")
    assert (precious.read_text(), precious.stat().st_mode) == ("kept", before)
    made = [file for file in (*shared.iterdir(), *root.iterdir()) if not file.is_symlink()]
    assert len(made) == 3, "those of the start before are gone"
    assert {file.stat().st_mode & 0o777 for file in made} == {0o600}
    assert clock.said() == "+1\n"


def test_a_name_that_is_taken_is_never_written_to(
    root: Path, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "token_hex", lambda size: "guessed")
    (tmp_path / "precious").write_text("kept")
    taken = tmp_path / "shared" / f"sem.clock-gameday-{run}-app-guessed"
    taken.symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        FakeClock(run, "app", root).variables(None)
    assert (tmp_path / "precious").read_text() == "kept"


def _owner_of(pid: int) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "getpid", lambda: pid)
        return this_owner()
