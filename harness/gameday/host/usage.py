"""What processes on this host use, which belong together, and how to end them."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.model.clock import SECOND

__all__ = ["cpu_ns_of", "end_family", "lives", "living_with", "memory_of", "waited_ns_of"]

_END_LIMIT_S = 3.0
_COLLECT_LIMIT_S = 0.5


def living_with(main: psutil.Process) -> list[psutil.Process]:
    """Return a process and all that is in its session, as far as it lives."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        if main.is_running():
            found = {process.pid: process for process in (main, *main.children(recursive=True))}
    for pid in psutil.pids():
        with suppress(OSError, psutil.NoSuchProcess):
            if pid not in found and os.getsid(pid) == main.pid:
                found[pid] = psutil.Process(pid)
    return [process for process in found.values() if lives(process)]


def end_family(main: psutil.Process) -> None:
    """Kill a process and all of its session, those without children first, and wait for that.

    Each is collected by its own parent. An orphan would go to the first process of its container,
    and servers that are that first process never collect anybody: a zombie would stay for good,
    and count as a process.
    """
    give_up = time.monotonic() + _END_LIMIT_S
    while family := living_with(main):
        hurried = time.monotonic() > give_up
        parents = {parent for process in family if (parent := _parent_of(process))}
        leaves = [process for process in family if hurried or process.pid not in parents]
        for process in leaves:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(leaves, timeout=_COLLECT_LIMIT_S)
        if hurried:
            return


def cpu_ns_of(processes: Sequence[psutil.Process]) -> int:
    """Return the processor time that every living thread of these has used, in nanoseconds."""
    used = 0
    for process in processes:
        tasks = list(Path(f"/proc/{process.pid}/task").glob("*/schedstat"))
        for task in tasks:
            with suppress(OSError, ValueError):
                used += int(task.read_text().split()[0])
        if not tasks:  # a kernel that keeps only ticks
            with suppress(psutil.Error):
                used += round(sum(process.cpu_times()[:2]) * SECOND)
    return used


def waited_ns_of(processes: Sequence[psutil.Process]) -> int:
    """Return how long the living threads of these have been ready to run and had no core."""
    waited = 0
    for process in processes:
        for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with suppress(OSError, ValueError):
                waited += int(task.read_text().split()[1])
    return waited


def memory_of(processes: Sequence[psutil.Process]) -> int:
    """Return the memory of these; what they share counts once where that can be read."""
    held = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            try:
                held += process.memory_full_info().pss
            except (psutil.AccessDenied, AttributeError):
                with suppress(psutil.AccessDenied):
                    held += process.memory_info().rss
    return held


def lives(process: psutil.Process) -> bool:
    """Tell whether a process is there and has not ended."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _parent_of(process: psutil.Process) -> int | None:
    with suppress(psutil.NoSuchProcess):
        return process.ppid()
    return None
