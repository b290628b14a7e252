"""Removes everything that a run left, by its labels alone."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.cleanup.labels import (
    EVERY_CGROUP,
    announced_by,
    cgroup_name,
    folders_of,
    is_run,
    labelled_folders,
    labelled_processes,
    runs_of_cgroups,
    supervisors,
)
from gameday.cleanup.owner import NOBODY, is_dead, sees_the_host
from gameday.errors import NotHealed
from gameday.host.cgroup import cgroups_named
from gameday.host.disks import mounts_in, release
from gameday.host.faketime import clock_files_of, clocked_runs, forget
from gameday.host.shared_memory import mapped_by, remove_segments, segments_in
from gameday.host.stages import causes, each

__all__ = ["abandoned_runs", "force_clean", "leftovers_of", "owners", "reap", "removal"]

_END_LIMIT_S = 5.0
_PAUSE_S = 0.01


def reap(run: str, *, in_docker: bool) -> tuple[str, ...]:
    """Remove everything that carries the marks of `run`; return what was removed.

    Frozen processes and paused containers too. What resists is found by `leftovers_of`; what else
    kept a part from being done is raised, once all parts have had their turn.
    """
    removed: list[str] = []
    try:
        for what in removal(run, in_docker=in_docker):
            removed.append(what)  # noqa: PERF402  what was removed before an error counts
    except* NotHealed:
        pass
    return tuple(removed)


def removal(run: str, *, in_docker: bool) -> Iterator[str]:
    """Remove the same and yield each thing once it is gone; raise what resisted, and why."""
    stages = [_end_processes(run), _remove_cgroups(run)]
    if in_docker:
        stages.append(_remove_from_engine(run))
    stages += [_forget_clocks(run), _remove_folders(run)]
    yield from each(f"removing all of run {run}", stages)


def force_clean(run: str, *, in_docker: bool, say: Callable[[str], None]) -> list[str]:
    """Remove the same and tell `say` each thing; return what is left, and what kept it there.

    Raises nothing: what cannot be looked at is in what is returned.
    """
    problems: list[str] = []
    try:
        for what in removal(run, in_docker=in_docker):
            say(f"removed {what}")
    except Exception as error:
        problems = causes(error)
    try:
        left = leftovers_of(run, in_docker=in_docker)
    except Exception as error:
        return [*problems, *causes(error)]
    return [f"left: {what}" for what in left] + problems if left else []


def leftovers_of(run: str, *, in_docker: bool) -> tuple[str, ...]:
    """Return everything that carries the marks of `run`; empty is clean."""
    left = [f"process {m.process.pid}" for m in labelled_processes(run)]
    if in_docker:
        from gameday.cleanup.docker_remains import held  # 250 ms of imports

        left += held(run)
    left += [f"shared memory {file}" for file in clock_files_of(run)]
    left += [f"control group {path}" for path in cgroups_named(cgroup_name(run))]
    for folder in folders_of(run):
        left += [f"shared memory {number}" for number in segments_in(folder)]
        left += [f"disk {place}" for place in mounts_in(folder)]
        left.append(f"folder {folder}")
    return tuple(left)


def owners(*, in_docker: bool) -> dict[str, str]:
    """Return the owner of every run of which there is anything, by the run's id.

    NOBODY, where what is left does not say whose it is and nobody can be who has any use for it.
    """
    found = {**dict(labelled_folders()), **{m.run: m.owner for m in labelled_processes()}}
    if in_docker:
        from gameday.cleanup.docker_remains import owners_held

        found |= owners_held()
    known = {run: owner for run, owner in found.items() if is_run(run)}
    return {**dict.fromkeys(_ownerless() - supervisors().keys(), NOBODY), **known}


def abandoned_runs(*, in_docker: bool) -> tuple[str, ...]:
    """Return the runs of which something is left and whose owner is surely dead."""
    return tuple(sorted(r for r, owner in owners(in_docker=in_docker).items() if is_dead(owner)))


def _ownerless() -> set[str]:
    """Return the runs of which there is what can say nothing of its owner.

    Control groups have a name and nothing else, and so has the shared memory of clocks. A run that
    goes on has a janitor, marked processes and a folder besides, but perhaps in another container.
    """
    if not sees_the_host():
        return set()
    empty = runs_of_cgroups(
        path.name for path in cgroups_named(EVERY_CGROUP) if not _members_of(path)
    )
    return {run for run in empty | clocked_runs() if is_run(run)}


def _members_of(cgroup: Path) -> list[str]:
    try:
        return (cgroup / "cgroup.procs").read_text(encoding="ascii").split()
    except OSError:
        return []


def _end_processes(run: str) -> Iterator[str]:
    """Kill the processes of a run until none is left; a killed one may just have started more.

    Each is stopped first, so that what it has mapped is all that it will ever have.
    """
    files: set[Path] = set()
    killed: dict[int, str] = {}
    refused: dict[int, str] = {}
    give_up = time.monotonic() + _END_LIMIT_S
    while True:
        found = {labelled.process.pid: labelled.process for labelled in labelled_processes(run)}
        for pid in killed.keys() - found.keys():
            yield killed.pop(pid)
        if not found or (killed and time.monotonic() >= give_up):
            break
        for pid, process in found.items():
            try:
                killed[pid] = f"process {pid} ({process.name()})"
                process.suspend()
                files |= mapped_by(pid)
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
            except (psutil.Error, OSError) as error:
                refused[pid] = type(error).__name__
        psutil.wait_procs(list(found.values()), timeout=1)
    for file in files:
        with suppress(FileNotFoundError):
            file.unlink()
            yield f"shared memory {file}"
    if found:
        names = [f"process {pid}: {refused.get(pid, 'it survives SIGKILL')}" for pid in found]
        raise NotHealed("; ".join(names))


def _remove_cgroups(run: str) -> Iterator[str]:
    """Remove the control groups of a run, whose processes have been killed before."""
    give_up = time.monotonic() + _END_LIMIT_S
    resisting = []
    for path in cgroups_named(cgroup_name(run)):
        while path.is_dir():
            try:
                path.rmdir()
            except OSError as error:
                if time.monotonic() >= give_up:
                    resisting.append(f"control group {path}: {error}")
                    break
                # The kernel sees to the dead a moment later.
                time.sleep(_PAUSE_S)
            else:
                yield f"control group {path}"
    if resisting:
        raise NotHealed("; ".join(resisting))


def _remove_from_engine(run: str) -> Iterator[str]:
    from gameday.cleanup.docker_remains import remove_held

    yield from remove_held(run)


def _forget_clocks(run: str) -> Iterator[str]:
    yield from forget(run)


def _remove_folders(run: str) -> Iterator[str]:
    yield from each(
        f"removing the folders of run {run}", (_remove_folder(f) for f in folders_of(run))
    )


def _remove_folder(folder: Path) -> Iterator[str]:
    if announced_by(folder):
        raise NotHealed(f"folder {folder} stays: it records where another remaining folder is")
    yield from (f"shared memory {number}" for number in remove_segments(folder))
    yield from release(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise NotHealed(f"folder {folder} cannot be removed")
    yield f"folder {folder}"
