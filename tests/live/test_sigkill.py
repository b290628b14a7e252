"""SIGKILL the harness at every boundary of a run: soon nothing of the run is left."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_SCENARIO = """
scenario: quick
title: Every boundary of a run, quickly
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 90%", p99: "<= 500ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - kill: redis
    for: 500ms
  - latency: relay -> redis
    delay: 100ms
    at: 1500ms
    for: 500ms
  - pause: redis
    at: 3s
    for: 500ms
expect:
  - recovery: "<= 10s"
"""
_STEP_LIMIT_S = 60
_CLEAN_LIMIT_S = 15

_FIRST = ", run "
"""The first line that names the run; the janitor is there before it."""
_PHASES = [
    f'"phase": "{phase}"' for phase in ("plan", "start", "baseline", "break", "recover", "settle")
]
_EVENTS = [
    f"{event}:{number}"
    for number in (1, 2, 3)  # the kill, the latency and the pause
    for event in ("UndoRecorded", "FaultInjected", "EffectProven", "FaultUndone", "UndoProven")
]
_SERVICES = [f"ServiceUp:{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize("point", [_FIRST, *_PHASES, *_SERVICES, *_EVENTS])
def test_nothing_is_left_of_a_run_whose_harness_was_killed(
    launch: Launch, tmp_path: Path, runtime: str, point: str
) -> None:
    kill_at(point, launch, tmp_path, runtime)


@pytest.mark.parametrize("point", ["ServiceUp:2", "FaultInjected:2"])
def test_gamedays_own_proxy_is_not_left_in_docker_either(
    launch: Launch, tmp_path: Path, docker_engine: object, point: str
) -> None:
    """Its stdin, with which it would end, is held open by the engine and not by the harness."""
    kill_at(point, launch, tmp_path, "docker", "--gameday-proxy=own")


def kill_at(point: str, launch: Launch, tmp_path: Path, runtime: str, *more: str) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "quick.yaml").write_text(_SCENARIO)
    process = launch(tmp_path, ["--scenario=quick", f"--gameday-runtime={runtime}", *more])
    journal = wait_for(tmp_path, point, process)
    process.kill()
    process.communicate()

    run = journal.read_text().partition(", run ")[2][:8]
    assert len(run) == 8
    give_up = time.monotonic() + _CLEAN_LIMIT_S
    while (left := list(left_of(run, runtime))) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert left == []
    assert "the harness is gone" in wait_for_text(journal.parent / "logs" / "janitor.log")


def wait_for(folder: Path, point: str, process: "subprocess.Popen[str]") -> Path:
    """Return the journal once the point stands in it, so many times as the point asks for."""
    text, _, number = point.partition(":") if point[-2:-1] == ":" else (point, "", "1")
    give_up = time.monotonic() + _STEP_LIMIT_S
    while time.monotonic() < give_up and process.poll() is None:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if journal.read_text().count(text) >= int(number):
                return journal
        time.sleep(0.002)
    process.kill()
    pytest.fail(f"never came to {point}:\n{process.communicate()[0]}")


def wait_for_text(file: Path) -> str:
    give_up = time.monotonic() + _CLEAN_LIMIT_S
    while time.monotonic() < give_up and not (file.exists() and file.read_text()):
        time.sleep(0.05)
    return file.read_text()


def left_of(run: str, runtime: str) -> Iterator[str]:
    """Look with other eyes than the janitor's: command lines, folders, and docker's own client."""
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except (psutil.Error, OSError):
            continue
        janitor = "gameday.environment.janitor" in words
        if any(run in word for word in words) and not janitor:
            yield f"process {process.pid}: {' '.join(words[:5])}"
    for root in (Path(tempfile.gettempdir()), Path("/dev/shm")):
        yield from (str(path) for path in root.glob(f"gameday-{run}*"))
        yield from (str(path) for path in root.glob("gameday-witness-*"))
    if runtime == "docker":
        only = f"label=gameday.run={run}"
        for command in (
            ["docker", "ps", "-a", "-q", "--filter", only],
            ["docker", "network", "ls", "-q", "--filter", only],
            ["docker", "volume", "ls", "-q", "--filter", only],
        ):
            yield from subprocess.run(command, capture_output=True, text=True).stdout.split()
