"""Who is to die first, and what bounds a service and its guests where no group may be made."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gameday.environment import process_bounds, process_tree
from gameday.environment.guests import HostGuest
from gameday.environment.mechanisms import Trial
from gameday.environment.process_bounds import ProcessBounds
from gameday.environment.task_limits import task_limit_of
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND


@pytest.fixture
def main() -> Iterator[psutil.Process]:
    """A shell that makes a child for each line that it reads."""
    script = "while read line; do sleep 60 & done"
    with subprocess.Popen(
        ["sh", "-c", script], start_new_session=True, stdin=subprocess.PIPE
    ) as shell:
        found = psutil.Process(shell.pid)
        fork(found, shell)
        score_file(found).write_text("300")
        yield found
        process_tree.send(process_tree.of_main(found), signal.SIGKILL)


def fork(main: psutil.Process, shell: "subprocess.Popen[bytes]") -> None:
    assert shell.stdin is not None
    before = len(process_tree.of_main(main))
    shell.stdin.write(b"\n")
    shell.stdin.flush()
    give_up = time.monotonic() + 5
    while len(process_tree.of_main(main)) == before:
        assert time.monotonic() < give_up
        time.sleep(0.005)


def score_file(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/oom_score_adj")


def scores(main: psutil.Process) -> list[int]:
    return [int(score_file(process).read_text()) for process in process_tree.of_main(main)]


@pytest.fixture
def bounds(main: psutil.Process) -> ProcessBounds:
    return ProcessBounds("db", lambda: process_tree.of_main(main), folder=Path(), env={})


def test_each_process_of_a_service_gets_back_the_score_that_it_had(
    main: psutil.Process, bounds: ProcessBounds
) -> None:
    before = scores(main)
    assert before[0] == 300
    assert before[1] != 300, "the child is older than that score"
    bounds.first_to_die(True)
    bounds.first_to_die(True)
    assert scores(main) == [1000, 1000]
    bounds.first_to_die(False)
    bounds.first_to_die(False)
    assert scores(main) == before


@pytest.fixture
def groupless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_bounds, "may_have_cells", lambda _: False)


@pytest.mark.usefixtures("groupless")
def test_a_guest_has_the_limit_of_tasks_that_the_service_has(
    main: psutil.Process, bounds: ProcessBounds
) -> None:
    soft, hard = main.rlimit(psutil.RLIMIT_NPROC)
    limit = (2**30 if soft == psutil.RLIM_INFINITY else soft) - 1
    main.rlimit(psutil.RLIMIT_NPROC, (limit, hard))
    guest = bounds.guest("sleep 60", 30 * SECOND, 1.0)
    try:
        assert isinstance(guest, HostGuest)
        assert {task_limit_of(process) for process in guest.family()} == {limit}
    finally:
        guest.end()


@pytest.mark.usefixtures("groupless")
def test_what_guests_were_refused_stays_counted_when_they_are_gone(
    bounds: ProcessBounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Trial(works=True, seen="it works")
    monkeypatch.setattr(process_bounds, "trial", lambda _: works)
    tasks = bounds.of("pids")
    for number in range(1, 4):
        guest = bounds.guest("echo 'sh: 0: Cannot fork' >&2", 30 * SECOND, 1.0)
        give_up = time.monotonic() + 5
        while tasks.denials() < number and time.monotonic() < give_up:
            time.sleep(0.005)
        guest.end()
        assert tasks.denials() == number


@pytest.mark.usefixtures("groupless")
def test_a_limit_of_tasks_that_does_not_hold_is_refused_with_the_reason(
    bounds: ProcessBounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    vain = Trial(works=False, seen="root is not held to it")
    monkeypatch.setattr(process_bounds, "trial", lambda _: vain)
    with pytest.raises(EnvironmentRefused, match=r"^db: no control group for pids .* root is not"):
        bounds.of("pids")
