"""Everything of a run goes, whatever resists, and what resists is named."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import psutil
import pytest

from gameday.cleanup import docker_remains as engine_remains
from gameday.cleanup import labels as marks
from gameday.cleanup import owner
from gameday.cleanup import reaper as reaping
from gameday.cleanup.labels import cgroup_name, labelled, labelled_processes, make_folder
from gameday.cleanup.owner import NOBODY
from gameday.cleanup.reaper import (
    abandoned_runs,
    force_clean,
    leftovers_of,
    owners,
    reap,
    removal,
)
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.host import faketime as clocks


@pytest.fixture
def run() -> str:
    return token_hex(4)


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with nothing on it: temporary folders and shared memory of the test's own."""
    for name in ("temporary", "shared", "cells"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(marks, "_TEMPORARY", (str(tmp_path / "temporary"),))
    monkeypatch.setattr(clocks, "_SHARED", tmp_path / "shared")
    monkeypatch.setattr(
        reaping, "cgroups_named", lambda prefix: sorted((tmp_path / "cells").glob(f"{prefix}*"))
    )
    return tmp_path / "shared"


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    return tmp_path / "cells"


@pytest.fixture
def orphan(run: str) -> Iterator["subprocess.Popen[bytes]"]:
    with labelled(run):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    while not labelled_processes(run):  # a program that is just being started has no environment
        time.sleep(0.001)
    yield process
    process.kill()
    process.wait()


def refuse(*_: object) -> Iterator[str]:
    raise EnvironmentRefused("the engine does not answer")


def test_an_engine_that_fails_keeps_nothing_else_from_going(
    run: str, shared: Path, orphan: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_remains, "remove_held", refuse)
    folder = make_folder(run)
    clock = shared / f"clock-gameday-{run}-app"
    clock.touch()
    removed: list[str] = []
    with pytest.raises(ExceptionGroup) as raised:
        removed.extend(removal(run, in_docker=True))
    assert raised.group_contains(EnvironmentRefused, match="does not answer")
    assert removed == [
        f"process {orphan.pid} (sleep)",
        f"shared memory {clock}",
        f"folder {folder}",
    ]
    assert leftovers_of(run, in_docker=False) == ()


def test_what_went_before_an_error_is_told_and_the_error_too(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_remains, "remove_held", refuse)
    monkeypatch.setattr(engine_remains, "held", refuse)
    folder = make_folder(run)
    said: list[str] = []
    problems = force_clean(run, in_docker=True, say=said.append)
    assert said == [f"removed folder {folder}"]
    assert problems == ["the engine does not answer", "the engine does not answer"]


def test_a_process_that_may_not_be_killed_is_named_and_keeps_no_other(
    run: str, orphan: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "suspend", refused)
    monkeypatch.setattr(reaping, "_END_LIMIT_S", 0.1)
    folder = make_folder(run)
    with pytest.raises(ExceptionGroup) as raised:
        list(removal(run, in_docker=False))
    assert raised.group_contains(NotHealed, match=f"process {orphan.pid}: AccessDenied")
    assert not folder.exists()
    assert reap(run, in_docker=False) == (), "what only resists is for `leftovers_of` to tell"
    assert leftovers_of(run, in_docker=False) == (f"process {orphan.pid}",)


def test_a_folder_that_cannot_be_removed_is_named_and_keeps_no_other(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = sorted([make_folder(run), make_folder(run)])
    really = shutil.rmtree
    monkeypatch.setattr(
        shutil, "rmtree", lambda f, **how: None if f == folders[0] else really(f, **how)
    )
    said: list[str] = []
    assert force_clean(run, in_docker=False, say=said.append) == [
        f"left: folder {folders[0]}",
        f"folder {folders[0]} cannot be removed",
    ]
    assert said == [f"removed folder {folders[1]}"]


def test_what_tells_of_a_folder_elsewhere_stays_as_long_as_that(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "far"
    far.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(far))
        folder = make_folder(run)
    really = shutil.rmtree
    with monkeypatch.context() as patched:
        patched.setattr(
            shutil, "rmtree", lambda f, **how: None if f == folder else really(f, **how)
        )
        assert f"left: folder {folder}" in force_clean(run, in_docker=False, say=lambda _: None)
    assert force_clean(run, in_docker=False, say=lambda _: None) == []
    assert not folder.exists()


def test_a_control_group_that_stays_is_named(
    run: str, cgroups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaping, "_END_LIMIT_S", 0.05)
    held, free = cgroups / cgroup_name(run, "a"), cgroups / cgroup_name(run, "b")
    (held / "inner").mkdir(parents=True)
    free.mkdir()
    with pytest.raises(ExceptionGroup) as raised:
        list(removal(run, in_docker=False))
    assert raised.group_contains(NotHealed, match=f"control group {held}: .*not empty")
    assert not free.exists()


@pytest.mark.parametrize("what", ["clock", "semaphore", "group"])
def test_a_run_of_which_only_what_has_no_owner_is_left_is_abandoned(
    run: str, shared: Path, cgroups: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(reaping, "sees_the_host", lambda: True)
    if what == "group":
        cgroup = cgroups / cgroup_name(run, "app")
        cgroup.mkdir()
        (cgroup / "cgroup.procs").touch()
    else:
        (shared / f"{'sem.' if what == 'semaphore' else ''}clock-gameday-{run}-app").touch()
    assert owners(in_docker=False).get(run) == NOBODY
    assert run in abandoned_runs(in_docker=False)


def test_what_has_no_owner_stays_while_a_janitor_watches_its_run(
    run: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaping, "sees_the_host", lambda: True)
    (shared / f"clock-gameday-{run}-app").touch()
    monkeypatch.setattr(reaping, "supervisors", lambda: {run: "somebody"})
    assert run not in owners(in_docker=False)


def test_what_has_no_owner_stays_while_a_process_of_its_run_lives(
    run: str, shared: Path, orphan: "subprocess.Popen[bytes]"
) -> None:
    (shared / f"clock-gameday-{run}-app").touch()
    assert owners(in_docker=False)[run] == owner.this_owner()


def test_what_has_no_owner_stays_where_others_may_not_be_seen(
    run: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / f"clock-gameday-{run}-app").touch()
    monkeypatch.setattr(reaping, "sees_the_host", lambda: False)
    assert run not in owners(in_docker=False)


def test_a_control_group_with_processes_in_it_is_not_abandoned(run: str, cgroups: Path) -> None:
    cgroup = cgroups / cgroup_name(run, "app")
    cgroup.mkdir()
    (cgroup / "cgroup.procs").write_text("1\n")
    assert run not in owners(in_docker=False)


def test_what_no_run_can_be_called_is_never_looked_for(shared: Path, cgroups: Path) -> None:
    (shared / "clock-gameday-notes-app").touch()
    (cgroups / "gameday-notes-app").mkdir()
    with labelled("notes"):
        process = subprocess.Popen(["sleep", "60"])
    while not labelled_processes("notes"):
        time.sleep(0.001)
    try:
        assert "notes" not in owners(in_docker=False)
    finally:
        process.kill()
        process.wait()
