"""SIGKILL the harness while a disk is full, data are shut and a clock is wrong: nothing is left."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_TARGET = """
target: shelf
title: Signals on small disks
services:
  redis: {kind: redis, disk: 64MB, options: {appendonly: "yes", appendfsync: everysec}}
  relay: {kind: app, program: apps.relay, needs: [redis]}
  listener: {kind: app, program: apps.listener, needs: [redis], disk: 16MB}
  store: {kind: postgres, disk: 128MB}
"""
_SCENARIO = """
scenario: shelf
title: Everything that stays on a host if nobody removes it
target: shelf
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 50%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
safety: {services: 3}
faults:
  - clock-offset: redis
    offset: +5min
    for: 60s
  - disk-fill: redis
    free: 10MB
    at: 100ms
    for: 60s
  - read-only-data: listener
    at: 200ms
    for: 60s
  - read-only-data: store
    met_by: probes
    at: 300ms
    for: 60s
expect:
  - recovery: "<= 10s"
"""
_STEP_LIMIT_S = 60
_CLEAN_LIMIT_S = 20


def test_nothing_of_a_storage_or_clock_fault_outlives_the_harness(
    launch: Launch, tmp_path: Path, runtime: str, missing: Callable[[str], NoReturn]
) -> None:
    for file, text in (("scenarios/shelf.yaml", _SCENARIO), ("targets/shelf/target.yaml", _TARGET)):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(text)
    process = launch(tmp_path, ["--scenario=shelf", f"--gameday-runtime={runtime}"])
    journal = wait_for_proofs(tmp_path, 4, process)
    if journal is None:
        missing(process.communicate()[0].splitlines()[-2])
    run = journal.read_text().partition(", run ")[2][:8]
    assert len(run) == 8
    assert any(left_of(run, runtime)), "the run is to have left something that can be seen"
    process.kill()
    process.communicate()

    give_up = time.monotonic() + _CLEAN_LIMIT_S
    while (left := list(left_of(run, runtime))) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert left == []


def wait_for_proofs(folder: Path, number: int, process: "subprocess.Popen[str]") -> Path | None:
    """Return the journal with that many proofs; None: the host lacks what the plan needs."""
    give_up = time.monotonic() + _STEP_LIMIT_S
    while time.monotonic() < give_up and process.poll() is None:
        for journal in folder.glob("reports/*/journal.jsonl"):
            proofs = [x for x in journal.read_text().splitlines() if '"EffectProven"' in x]
            assert all('"proven": true' in proof for proof in proofs), proofs
            if len(proofs) >= number:
                return journal
        time.sleep(0.01)
    if not list(folder.glob("reports/*")):
        return None
    process.kill()
    pytest.fail(f"never came to {number} proofs:\n{process.communicate()[0]}")


def left_of(run: str, runtime: str) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if run in line:
            yield f"mount {line}"
    for root in (Path(tempfile.gettempdir()), Path("/dev/shm"), Path("/tmp")):
        yield from (str(path) for path in root.glob(f"*{run}*"))
    for process in psutil.process_iter():
        try:
            words = [*process.environ().values(), process.cwd()]
        except (psutil.Error, OSError):
            continue
        if any(run in word for word in words):
            yield f"process {process.pid}"
    if runtime == "docker":
        only = f"label=gameday.run={run}"
        for command in (["ps", "-a", "-q"], ["network", "ls", "-q"], ["volume", "ls", "-q"]):
            listed = ["docker", *command, "--filter", only]
            yield from subprocess.run(listed, capture_output=True, text=True).stdout.split()
