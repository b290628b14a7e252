"""SIGKILL the harness at every boundary of a run: soon nothing of the run is left."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_TARGET = """
target: stage
title: The signals, and what a family of faults hits beside them
services:
  redis: {kind: redis, options: {appendonly: "yes", appendfsync: always}DISK}
  relay: {kind: app, program: apps.relay, needs: [redis]}
  listener: {kind: app, program: apps.listener, needs: [redis]}
"""
_BESIDE = {
    "postgres": "  postgres: {kind: postgres}\n",
    "rabbitmq": "  rabbitmq: {kind: rabbitmq}\n",
}
_SCENARIO = """
scenario: quick
title: Every boundary of a run, quickly
target: stage
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 90%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
FAULTS
expect:
  - recovery: "<= 10s"
"""
_FAULTS: Mapping[str, Sequence[str]] = {
    "lifecycle": (
        "{kill: redis, for: 500ms}",
        "{pause: redis, at: 2s, for: 500ms}",
    ),
    "network": ("{latency: relay -> redis, delay: 100ms, for: 500ms}",),
    "partition": ("{partition: redis, for: 500ms}",),
    "resources": ("{cpu-limit: redis, cores: 0.5, for: 500ms}",),
    "storage": ("{disk-fill: redis, for: 500ms}",),
    "clock": ("{clock-offset: listener, offset: +1h, for: 500ms}",),
    "redis": ("{maxmemory: redis, of_used: 50%, for: 500ms}",),
    "postgres": ("{connection-cap: postgres, for: 500ms, met_by: probes}",),
    "rabbitmq": ("{memory-alarm: rabbitmq, for: 500ms, met_by: probes}",),
    "http": ("{http-status: client -> relay, status: 503, share: 50%, for: 500ms}",),
    "load": ("{surge: relay, factor: 2, for: 500ms}",),
}
_STEP_LIMIT_S = 60
_CLEAN_LIMIT_S = 15

_FIRST = ", run "
"""The first line that names the run; the janitor is there before it."""
_PHASES = [
    f'"phase": "{phase}"' for phase in ("plan", "start", "baseline", "break", "recover", "settle")
]
_EVENTS = ("UndoRecorded", "FaultInjected", "EffectProven", "FaultUndone", "UndoProven")
_SERVICES = [f"ServiceUp:{number}" for number in (1, 2, 3)]
_OF_THE_FIRST_FAULT = [f"-lifecycle-{event}:1" for event in _EVENTS]
_POINTS = [
    *(("lifecycle", point) for point in (_FIRST, *_PHASES, *_SERVICES)),
    *(
        (family, f"{event}:{number}")
        for family, faults in _FAULTS.items()
        for number in range(1, len(faults) + 1)
        for event in _EVENTS
    ),
]


@pytest.mark.sample(
    "-lifecycle-, run ", '-lifecycle-"phase"', "-lifecycle-ServiceUp:2", *_OF_THE_FIRST_FAULT
)
@pytest.mark.parametrize(("family", "point"), _POINTS)
def test_nothing_is_left_of_a_run_whose_harness_was_killed(
    launch: Launch,
    tmp_path: Path,
    runtime: str,
    family: str,
    point: str,
    missing: Callable[[str], NoReturn],
) -> None:
    (tmp_path / "scenarios").mkdir()
    faults = "\n".join(f"  - {fault}" for fault in _FAULTS[family])
    (tmp_path / "scenarios" / "quick.yaml").write_text(_SCENARIO.replace("FAULTS", faults))
    (tmp_path / "targets" / "stage").mkdir(parents=True)
    target = _TARGET.replace("DISK", ", disk: 64MB" if family == "storage" else "")
    (tmp_path / "targets" / "stage" / "target.yaml").write_text(target + _BESIDE.get(family, ""))
    process = launch(tmp_path, ["--scenario=quick", f"--gameday-runtime={runtime}"])
    journal = wait_for(tmp_path, point, process)
    if journal is None:
        missing(process.communicate()[0].splitlines()[-2])
    process.kill()
    process.communicate()

    run = journal.read_text().partition(", run ")[2][:8]
    assert len(run) == 8
    give_up = time.monotonic() + _CLEAN_LIMIT_S
    while (left := list(left_of(run, runtime))) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert left == []
    assert "the harness is gone" in wait_for_text(journal.parent / "logs" / "janitor.log")


def wait_for(folder: Path, point: str, process: "subprocess.Popen[str]") -> Path | None:
    """Return the journal once the point stands in it, so many times as the point asks for.

    None: nothing was started, because this host lacks something.
    """
    text, _, number = point.partition(":") if point[-2:-1] == ":" else (point, "", "1")
    give_up = time.monotonic() + _STEP_LIMIT_S
    while time.monotonic() < give_up and process.poll() is None:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if journal.read_text().count(text) >= int(number):
                return journal
        time.sleep(0.002)
    if not list(folder.glob("reports/*")):
        return None
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
        supervisor = "gameday.cleanup.supervisor" in words
        if any(run in word for word in words) and not supervisor:
            yield f"process {process.pid}: {' '.join(words[:5])}"
    for root in (Path(tempfile.gettempdir()), Path("/dev/shm")):
        yield from (str(path) for path in root.glob(f"gameday-{run}*"))
        yield from (str(path) for path in root.glob("gameday-witness-*"))
    for group, _, _ in os.walk("/sys/fs/cgroup"):  # others' groups may go meanwhile
        if run in group:
            yield group
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    yield from (line for line in mounts if run in line)
    if runtime == "docker":
        only = f"label=gameday.run={run}"
        for command in (
            ["docker", "ps", "-a", "-q", "--filter", only],
            ["docker", "network", "ls", "-q", "--filter", only],
            ["docker", "volume", "ls", "-q", "--filter", only],
        ):
            yield from subprocess.run(command, capture_output=True, text=True).stdout.split()
