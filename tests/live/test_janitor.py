"""What heals when the harness cannot: the janitor, `gameday reap` and `stop`, the next start."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gameday.environment.cells import cells_named
from gameday.environment.janitor import Janitor
from gameday.environment.marks import cell_name, is_dead, marked, this_owner
from gameday.environment.mechanisms import trial
from gameday.environment.mechanisms.cgroups import CPU
from gameday.environment.reaping import leftovers_of, reap
from gameday.errors import InternalError
from gameday.model.clock import SECOND

pytestmark = [pytest.mark.live, pytest.mark.alone]

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_RUN = "janitortest"
_LIMIT_S = 15


@pytest.fixture
def orphan() -> Iterator["subprocess.Popen[bytes]"]:
    """A frozen process with the marks of a run: SIGTERM would not end it."""
    with marked(_RUN):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def janitor(tmp_path: Path) -> Iterator[Janitor]:
    made = Janitor(_RUN, in_docker=False, log=tmp_path / "janitor.log")
    made.start()
    yield made
    made.abandon()


def ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_dismissed_janitor_touches_nothing(
    janitor: Janitor, orphan: "subprocess.Popen[bytes]"
) -> None:
    janitor.dismiss()
    assert orphan.poll() is None


def test_an_abandoned_janitor_removes_all_that_carries_the_marks(
    janitor: Janitor, orphan: "subprocess.Popen[bytes]"
) -> None:
    janitor.abandon()
    assert ended(orphan)
    assert leftovers_of(_RUN, in_docker=False) == ()


def test_a_fault_that_outlives_its_time_is_healed(
    janitor: Janitor, orphan: "subprocess.Popen[bytes]"
) -> None:
    janitor.fault_until(0, time.monotonic_ns() + SECOND // 5)
    assert ended(orphan)


def test_a_fault_that_was_healed_in_time_is_forgotten(
    janitor: Janitor, orphan: "subprocess.Popen[bytes]"
) -> None:
    janitor.fault_until(0, time.monotonic_ns() + SECOND // 2)
    janitor.healed(0)
    time.sleep(1)
    assert orphan.poll() is None


def test_without_its_janitor_no_fault_is_leased(janitor: Janitor) -> None:
    mine = [c for c in psutil.Process().children() if "gameday.environment.janitor" in c.cmdline()]
    for process in mine:
        process.kill()
    psutil.wait_procs(mine, timeout=5)
    with pytest.raises(InternalError, match="janitor"):
        janitor.fault_until(0, time.monotonic_ns())


def test_an_owner_is_dead_only_when_that_is_sure() -> None:
    mine = this_owner()
    pid, _, rest = mine.partition("@")
    assert not is_dead(mine)
    assert is_dead(f"{pid}@1.00@{rest.partition('@')[2]}"), "another process had that number"
    assert not is_dead(f"{pid}@1.00@another-host"), "who lives elsewhere may well live"
    assert not is_dead("")


def test_reaping_twice_is_harmless(orphan: "subprocess.Popen[bytes]") -> None:
    assert reap(_RUN, in_docker=False) != ()
    assert reap(_RUN, in_docker=False) == ()


def start_and_kill_with_its_janitor(launch: Launch, folder: Path, runtime: str) -> str:
    """Kill a run and its janitor at once, while its services are up; give back its id."""
    process = launch(folder, ["--scenario=redis-restart", f"--gameday-runtime={runtime}"])
    journal = wait_for_services(folder)
    run = journal.read_text().partition(", run ")[2][:8]
    harness = psutil.Process(process.pid)
    (janitor,) = [c for c in harness.children() if "gameday.environment.janitor" in c.cmdline()]
    janitor.kill()
    process.kill()
    process.communicate()
    return run


def wait_for_services(folder: Path) -> Path:
    return wait_for_lines(folder, "ServiceUp", 2)


def wait_for_lines(folder: Path, what: str, number: int) -> Path:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if journal.read_text().count(what) >= number:
                return journal
        time.sleep(0.01)
    pytest.fail(f"not {number} times {what}")


def gameday(*arguments: str) -> str:
    command = [sys.executable, "-m", "gameday", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reap_removes_what_a_killed_run_and_its_killed_janitor_left(
    launch: Launch, tmp_path: Path, runtime: str
) -> None:
    run = start_and_kill_with_its_janitor(launch, tmp_path, runtime)
    in_docker = runtime == "docker"
    assert leftovers_of(run, in_docker=in_docker) != ()
    assert run in gameday("reap")
    assert leftovers_of(run, in_docker=in_docker) == ()


def test_the_next_start_removes_what_is_left(launch: Launch, tmp_path: Path, runtime: str) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    run = start_and_kill_with_its_janitor(launch, tmp_path / "first", runtime)
    process = launch(
        tmp_path / "second", ["--scenario=redis-restart", f"--gameday-runtime={runtime}"]
    )
    journal = wait_for_services(tmp_path / "second")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=_LIMIT_S)
    assert f"run {run} was abandoned" in journal.read_text()
    assert leftovers_of(run, in_docker=runtime == "docker") == ()


def test_stop_ends_a_run_that_goes_on(launch: Launch, tmp_path: Path, runtime: str) -> None:
    process = launch(tmp_path, ["--scenario=redis-restart", f"--gameday-runtime={runtime}"])
    journal = wait_for_services(tmp_path)
    began = time.monotonic()
    run = journal.read_text().partition(", run ")[2][:8]
    assert "stopped" in gameday("stop", "--run", run)
    assert time.monotonic() - began < _LIMIT_S
    process.communicate(timeout=_LIMIT_S)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "nothing is left" in json.loads(journal.read_text().splitlines()[-1])["text"]


_BOUND = """
scenario: bound
title: A service within limits of the run's own
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 90%", p99: "<= 500ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - cpu-limit: redis
    cores: 0.2
    for: 30s
  - pids-limit: redis
    free: 30
    for: 30s
expect:
  - recovery: "<= 10s"
"""


@pytest.mark.parametrize("janitor_too", [False, True], ids=["harness", "harness-and-janitor"])
def test_control_groups_go_with_the_run_that_was_killed_within_them(
    launch: Launch, tmp_path: Path, janitor_too: bool
) -> None:
    if not trial(CPU).works:
        pytest.skip(f"{CPU.name}: {trial(CPU).seen}")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "bound.yaml").write_text(_BOUND)
    process = launch(tmp_path, ["--scenario=bound", "--gameday-runtime=process"])
    journal = wait_for_lines(tmp_path, "EffectProven", 2)
    run = journal.read_text().partition(", run ")[2][:8]
    groups = list(cells_named(cell_name(run)))
    assert len(groups) >= 2, "one for processor time, one for processes"
    if janitor_too:
        harness = psutil.Process(process.pid)
        for child in harness.children():
            if "gameday.environment.janitor" in child.cmdline():
                child.kill()
    process.kill()
    process.communicate()
    if janitor_too:
        assert f"control group {groups[0]}" in leftovers_of(run, in_docker=False)
        assert run in gameday("reap")
    give_up = time.monotonic() + _LIMIT_S
    while leftovers_of(run, in_docker=False) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert leftovers_of(run, in_docker=False) == ()
    assert not any(group.exists() for group in groups)
