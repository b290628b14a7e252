"""Whether our service, or another process, listens on its port."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.host.sockets import held_by, listening_on

__all__ = ["stranger_on"]

_PAUSE_S = 0.02


def stranger_on(port: int, own: Callable[[], Iterable[psutil.Process]]) -> str:
    """Return who listens on a port and is none of these processes; empty: nobody, as far as seen.

    It is looked at twice: who ends or starts between two lists of the kernel's is on one of them.
    """
    first = _not_of(own, listening_on(port))
    if not first:
        return ""
    time.sleep(_PAUSE_S)
    both = first & _not_of(own, listening_on(port))
    return _holder_of(both) if both else ""


def _not_of(own: Callable[[], Iterable[psutil.Process]], inodes: frozenset[int]) -> frozenset[int]:
    """Return which of these sockets no process of ours holds; none if that cannot be seen."""
    if not inodes:
        return inodes
    held: set[int] = set()
    for process in own():
        try:
            held.update(held_by(process.pid))
        except PermissionError:
            return frozenset()
        except OSError:
            continue  # it has ended
    return inodes - held


def _holder_of(inodes: frozenset[int]) -> str:
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, psutil.Error):
            if not inodes.isdisjoint(held_by(int(entry.name))):
                return f"process {entry.name} ({psutil.Process(int(entry.name)).name()})"
    return "a process that this account may not see"
