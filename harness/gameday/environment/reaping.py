"""The removal of all that a run left, by its marks alone."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from gameday.environment.cells import cells_named
from gameday.environment.clocks import clock_files_of, forget
from gameday.environment.disks import mounts_in, release
from gameday.environment.marks import (
    OWNER_LABEL,
    RUN_LABEL,
    cell_name,
    folders_of,
    is_dead,
    marked_folders,
    marked_processes,
)
from gameday.environment.shared_memory import mapped_by, remove_segments, segments_in

if TYPE_CHECKING:
    import docker

__all__ = ["abandoned_runs", "leftovers_of", "owners", "reap"]

_END_LIMIT_S = 5.0
_ENGINE_LIMIT_S = 20
_TRIES = 3
_PAUSE_S = 0.01


def reap(run: str, *, in_docker: bool) -> tuple[str, ...]:
    """Remove everything that carries the marks of `run`; return what was removed.

    Frozen processes and paused containers too. What resists is found by `leftovers_of`.
    """
    removed = [*_end_processes(run), *_remove_cells(run)]
    if in_docker:
        with _engine() as engine:
            for _ in range(_TRIES):  # a network goes only after what was attached to it
                things = list(_in_engine(engine, run))
                if not things:
                    break
                with ThreadPoolExecutor(len(things)) as pool:
                    removed += [name for name in pool.map(_remove, things) if name]
    removed += forget(run)
    for folder in folders_of(run):
        removed += [f"shared memory {number}" for number in remove_segments(folder)]
        removed += release(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            removed.append(f"folder {folder}")
    return tuple(removed)


def leftovers_of(run: str, *, in_docker: bool) -> tuple[str, ...]:
    """Return everything that carries the marks of `run`; empty is clean."""
    left = [f"process {m.process.pid}" for m in marked_processes(run)]
    if in_docker:
        with _engine() as engine:
            left += [name for name, _ in _in_engine(engine, run)]
    left += [f"shared memory {file}" for file in clock_files_of(run)]
    left += [f"control group {path}" for path in cells_named(cell_name(run))]
    for folder in folders_of(run):
        left += [f"shared memory {number}" for number in segments_in(folder)]
        left += [f"disk {place}" for place in mounts_in(folder)]
        left.append(f"folder {folder}")
    return tuple(left)


def owners(*, in_docker: bool) -> dict[str, str]:
    """Return the owner of every run of which there is anything, by the run's id."""
    found = {**dict(marked_folders()), **{m.run: m.owner for m in marked_processes()}}
    if in_docker:
        with _engine() as engine:
            for container in engine.containers.list(
                all=True, filters={"label": RUN_LABEL}, ignore_removed=True
            ):
                found[container.labels[RUN_LABEL]] = container.labels.get(OWNER_LABEL, "")
            for network in engine.networks.list(filters={"label": RUN_LABEL}):
                labels: dict[str, str] = (network.attrs or {}).get("Labels") or {}
                found.setdefault(labels[RUN_LABEL], labels.get(OWNER_LABEL, ""))
    return found


def abandoned_runs(*, in_docker: bool) -> tuple[str, ...]:
    """Return the runs of which something is left and whose owner is surely dead."""
    return tuple(sorted(r for r, owner in owners(in_docker=in_docker).items() if is_dead(owner)))


def _end_processes(run: str) -> Iterator[str]:
    """Kill the processes of a run until none is left; a killed one may just have started more.

    Each is stopped first, so that what it has mapped is all that it will ever have.
    """
    files: set[Path] = set()
    give_up = time.monotonic() + _END_LIMIT_S
    while time.monotonic() < give_up:
        found = marked_processes(run)
        if not found:
            break
        for marked in found:
            with suppress(psutil.NoSuchProcess):
                yield f"process {marked.process.pid} ({marked.process.name()})"
                marked.process.suspend()
                files |= mapped_by(marked.process.pid)
                marked.process.send_signal(signal.SIGKILL)
        psutil.wait_procs([marked.process for marked in found], timeout=1)
    for file in files:
        with suppress(FileNotFoundError):
            file.unlink()
            yield f"shared memory {file}"


def _remove_cells(run: str) -> Iterator[str]:
    """Remove the control groups of a run, whose processes have been killed before."""
    give_up = time.monotonic() + _END_LIMIT_S
    for path in cells_named(cell_name(run)):
        while path.is_dir() and time.monotonic() < give_up:
            with suppress(OSError):
                path.rmdir()
                yield f"control group {path}"
                break
            # The kernel sees to the dead a moment later.
            time.sleep(_PAUSE_S)


def _in_engine(engine: "docker.DockerClient", run: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name and the removal of each thing that the engine holds for a run."""
    only_ours: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={run}"}
    for container in engine.containers.list(all=True, filters=only_ours, ignore_removed=True):
        yield f"container {container.name}", partial(container.remove, force=True, v=True)
    for network in engine.networks.list(filters={"label": f"{RUN_LABEL}={run}"}):
        yield f"network {network.name}", network.remove
    for volume in engine.volumes.list(filters={"label": f"{RUN_LABEL}={run}"}):
        yield f"volume {volume.name}", partial(volume.remove, force=True)


def _remove(thing: tuple[str, Callable[[], None]]) -> str | None:
    """Remove one thing of the engine; None when it is not gone yet."""
    import requests
    from docker.errors import DockerException

    name, remove = thing
    try:
        remove()
    except (DockerException, requests.RequestException):
        return None
    return name


@contextmanager
def _engine() -> Iterator["docker.DockerClient"]:
    import docker

    client = docker.from_env(timeout=_ENGINE_LIMIT_S)
    try:
        yield client
    finally:
        client.close()
