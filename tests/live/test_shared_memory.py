"""A killed PostgreSQL of the process environment leaves no shared memory, whoever is killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from gameday.api.environment import EnvironmentConfig
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.engine.planning import vocabulary
from gameday.faults.lifecycle.remove import Remove
from gameday.host.process_files import mappings_of, working_folder_of
from gameday.loading import load_target
from gameday.resources import bundled
from gameday.runtimes.process.environment import ProcessEnvironment

pytestmark = pytest.mark.live

_HARNESS = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_shared_memory import alone
environment = alone(sys.argv[2], Path(sys.argv[3]))
environment.start(lambda *_: None, lambda: None)
print(environment.service("postgres").process_state().pid, flush=True)
time.sleep(60)
"""


def alone(run: str, logs: Path) -> ProcessEnvironment:
    """A PostgreSQL as a process, and nothing else."""
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    only = tuple(spec for spec in stores.services if spec.name == "postgres")
    target = replace(stores, services=only)
    return ProcessEnvironment(
        EnvironmentConfig(run=run, target=target, logs=logs, seed=1, proxy="own")
    )


@pytest.fixture
def run(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Iterator[str]:
    """The name of a run of which nothing is left in the end."""
    run = f"m{os.getpid()}"
    lack = alone(run, tmp_path).missing()
    if lack:
        missing("; ".join(lack))
    yield run
    reap(run, in_docker=False)


def segments_of(server: int) -> list[str]:
    """Ask the system's own tool for what that process has created."""
    told = subprocess.run(["ipcs", "-m", "-p"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in told.splitlines()]
    return [row[0] for row in rows if len(row) == 4 and row[2] == str(server)]


def test_the_shared_memory_of_a_killed_harness_is_seen_and_removed(
    tmp_path: Path, run: str
) -> None:
    command = [sys.executable, "-c", _HARNESS, str(Path(__file__).parent), run, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        server = int(harness.stdout.readline())
        harness.kill()
    (segment,) = segments_of(server)
    assert f"shared memory {segment}" in leftovers_of(run, in_docker=False)
    assert f"shared memory {segment}" in reap(run, in_docker=False)
    assert segments_of(server) == []
    assert leftovers_of(run, in_docker=False) == ()


def test_the_shared_memory_of_data_that_are_being_made_goes_as_well(
    tmp_path: Path, run: str
) -> None:
    command = [sys.executable, "-c", _HARNESS, str(Path(__file__).parent), run, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as harness:
        give_up = time.monotonic() + 20
        while not (files := files_of(run)):
            assert time.monotonic() < give_up
        harness.kill()
    reap(run, in_docker=False)
    # Some of the making's steps may have come to their own end, and taken theirs along.
    assert not any(file.exists() for file in files)


def files_of(run: str) -> set[Path]:
    """Return what the servers of a run have in /dev/shm, by the folder that they work in."""
    files = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            here = process.name() == "postgres" and working_folder_of(process.pid)
            if here and f"gameday-{run}-" in str(here):
                words = mappings_of(process.pid).split()
                files |= {Path(word) for word in words if word.startswith("/dev/shm/Postgre")}
    return files


def test_a_server_that_loses_its_data_leaves_no_shared_memory(tmp_path: Path, run: str) -> None:
    environment = alone(run, tmp_path)
    try:
        environment.start(lambda *_: None, lambda: None)
        server = environment.service("postgres").process_state().pid
        assert len(segments_of(server)) == 1
        removing = Remove(target="postgres", volume="drop").on(environment)
        try:
            removing.inject()
            assert removing.prove(lambda: None).proven
            assert segments_of(server) == []
        finally:
            removing.undo()
    finally:
        environment.stop()
    assert environment.leftovers() == ()
