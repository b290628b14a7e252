"""A limit of tasks is that of every process of a service, and each has its old one back."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gameday.environment.guests import start_guest
from gameday.environment.mechanisms import Lacking
from gameday.environment.mechanisms.process_limits import TASKS
from gameday.environment.task_limits import LimitedTasks, limit_tasks, task_limit_of
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND

_LIMIT_S = 5
_FORKS = "read go; sleep 60 & wait"
"""What a shell does that is to have a child later."""


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(["sh", "-c", _FORKS], stdin=subprocess.PIPE, start_new_session=True)
    yield started
    for process in family_of(started):
        process.kill()
    started.communicate()


@pytest.fixture
def tasks(shell: subprocess.Popen[bytes]) -> LimitedTasks:
    return LimitedTasks(lambda: family_of(shell), int, "db")


def family_of(shell: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        main = psutil.Process(shell.pid)
        return [main, *main.children()]
    except psutil.NoSuchProcess:
        return []


def limits_of(shell: subprocess.Popen[bytes]) -> list[int | None]:
    return [task_limit_of(process) for process in family_of(shell)]


def set_limit(process: psutil.Process, soft: int) -> None:
    process.rlimit(psutil.RLIMIT_NPROC, (soft, process.rlimit(psutil.RLIMIT_NPROC)[1]))


def fork(shell: subprocess.Popen[bytes]) -> None:
    assert shell.stdin is not None
    shell.stdin.write(b"go\n")
    shell.stdin.flush()
    assert comes_true(lambda: len(family_of(shell)) == 2)


def comes_true(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + _LIMIT_S
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.005)
    return condition()


def roomy() -> int:
    """Return a limit that hinders nobody, and is another than there is now."""
    hard = psutil.Process().rlimit(psutil.RLIMIT_NPROC)[1]
    return (2**30 if hard == psutil.RLIM_INFINITY else hard) - 1


def test_every_process_is_limited_and_given_back_its_own_limit(
    shell: subprocess.Popen[bytes], tasks: LimitedTasks
) -> None:
    fork(shell)
    before, limit = limits_of(shell), roomy()
    other = limit - 7
    set_limit(family_of(shell)[1], other)
    tasks.hold(limit)
    assert (limits_of(shell), tasks.limit()) == ([limit, limit], limit)
    assert tasks.left() == f"2 processes have the limit {limit}"
    tasks.release()
    tasks.release()
    assert limits_of(shell) == [before[0], other]
    assert tasks.left() == ""


def test_who_was_forked_within_the_limit_is_given_the_one_of_its_service(
    shell: subprocess.Popen[bytes], tasks: LimitedTasks
) -> None:
    before, limit = task_limit_of(psutil.Process(shell.pid)), roomy()
    tasks.hold(limit)
    fork(shell)
    assert limits_of(shell) == [limit, limit]
    tasks.release()
    assert limits_of(shell) == [before, before]


def test_a_limit_that_a_process_has_set_itself_meanwhile_is_its_own(
    shell: subprocess.Popen[bytes], tasks: LimitedTasks
) -> None:
    main, limit = psutil.Process(shell.pid), roomy()
    tasks.hold(limit)
    set_limit(main, limit - 1)
    assert tasks.left() == ""
    tasks.release()
    assert task_limit_of(main) == limit - 1


def test_a_release_without_a_limit_changes_nothing(
    shell: subprocess.Popen[bytes], tasks: LimitedTasks
) -> None:
    before = limits_of(shell)
    tasks.release()
    assert (limits_of(shell), tasks.left()) == (before, "")


def test_who_has_ended_has_no_limit_and_hinders_nobody(
    shell: subprocess.Popen[bytes], tasks: LimitedTasks
) -> None:
    tasks.hold(roomy())
    main = psutil.Process(shell.pid)
    gone = LimitedTasks(lambda: [main], int, "db")
    shell.kill()
    shell.wait()
    assert gone.limit() is None
    gone.hold(roomy())
    gone.release()
    assert gone.left() == ""


def test_more_than_the_kernel_would_ever_allow_is_refused(
    shell: subprocess.Popen[bytes], tasks: LimitedTasks
) -> None:
    psutil.Process(shell.pid).rlimit(psutil.RLIMIT_NPROC, (500, 500))
    with pytest.raises(EnvironmentRefused, match=f"limiting process {shell.pid}: "):
        tasks.hold(501)


def test_who_forks_faster_than_it_is_limited_is_refused() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def one_more() -> list[psutil.Process]:
        started.append(subprocess.Popen(["sleep", "60"]))
        return [psutil.Process(started[-1].pid)]

    try:
        with pytest.raises(EnvironmentRefused, match="faster"):
            limit_tasks(one_more, roomy())
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_tasks_are_all_threads_of_the_user_and_of_nobody_else(
    tasks: LimitedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "pids", lambda: [os.getpid(), os.getpid(), 2**22 + 1])
    before, over = tasks.usage(), threading.Event()
    more = threading.Thread(target=over.wait)
    more.start()
    assert tasks.usage() == before + 2, "one more in each"
    over.set()
    more.join()
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert tasks.usage() == 0


def test_a_service_of_another_user_is_refused(
    shell: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    with pytest.raises(EnvironmentRefused, match=f"^db: process {shell.pid} belongs to "):
        LimitedTasks(lambda: family_of(shell), int, "db")


def test_a_guest_tells_how_often_it_was_refused_a_process(tmp_path: Path) -> None:
    script = "echo 'sh: 0: Cannot fork' >&2; echo no more >&2; touch told; read go < on"
    os.mkfifo(tmp_path / "on")
    guest = start_guest(script, 30 * SECOND, 1.0, cells=(), env=os.environ, folder=tmp_path)
    try:
        assert comes_true((tmp_path / "told").exists)
    finally:
        guest.end()
    assert guest.refusals() == 1, "it is known after the end, too"


def test_a_user_is_held_to_it_and_root_is_not() -> None:
    if os.geteuid() == 0:
        with pytest.raises(Lacking, match="root is not held to it"):
            TASKS.check()
    else:
        assert "fork" in TASKS.check()
