"""The bytes that processes of this host have moved to and from disks, by the kernel's count."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import psutil

from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND

__all__ = ["IoCounts"]

_SCAN_NS = 100 * MILLISECOND
_READS = 5
_FIELDS = ("read_bytes:", "write_bytes:")

Processes = Callable[[], list[psutil.Process]]
Bytes = tuple[int, int]


class IoCounts:
    """What a service and its guests have moved since this was made, read and written.

    Reading counts where a device is asked, writing where a page becomes dirty or, past the page
    cache, where the device is asked. The bytes of who has ended are in whoever collected it. What
    nobody of these collected is lost with it, which is why the sum may fall and what has moved
    may not.
    """

    def __init__(self, processes: Processes, guests: Processes, what: str) -> None:
        """`processes` finds all and takes long; `guests` has the first process of each at once."""
        self._processes = processes
        self._guests = guests
        self._what = what
        self._looking = Lock()
        self._known: dict[int, psutil.Process] = {}
        """Parents before their children, zombies too: their bytes are nobody else's yet."""
        self._scanned_ns: int | None = None
        self._fresh = False
        self._moved: Bytes = (0, 0)
        self._find()
        self._sum = self._read(strictly=True)

    @property
    def moved(self) -> Bytes:
        """What had been moved at the last look."""
        return self._moved

    def look(self) -> Bytes:
        with self._looking:
            self._find()
            before, now = self._sum, self._read()
            risen = (max(0, now[number] - before[number]) for number in range(2))
            self._moved = (self._moved[0] + next(risen), self._moved[1] + next(risen))
            self._sum = now
            return self._moved

    def known(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """Return the service's processes and the guests', each parent before its children."""
        sessions = {guest.pid for guest in self._guests()}
        service: list[psutil.Process] = []
        guests: list[psutil.Process] = []
        for process in list(self._known.values()):
            with suppress(ProcessLookupError):
                (guests if os.getsid(process.pid) in sessions else service).append(process)
        return service, guests

    def guest_came(self) -> bool:
        """Tell, once, whether a guest was seen that had not been there before."""
        came, self._fresh = self._fresh, False
        return came

    def _find(self) -> None:
        """Look for new processes: all ten times a second, for children of the known each time."""
        now_ns = time.monotonic_ns()
        if self._scanned_ns is None or now_ns - self._scanned_ns >= _SCAN_NS:
            self._known = {pid: known for pid, known in self._known.items() if known.is_running()}
            for process in self._processes():
                self._known.setdefault(process.pid, process)
            self._scanned_ns = time.monotonic_ns()
        for guest in self._guests():
            if guest.pid not in self._known and guest.is_running():
                self._known[guest.pid] = guest
                self._fresh = True
        untold = list(self._known)
        while untold:
            for pid in _children(untold.pop()):
                if pid not in self._known:
                    with suppress(psutil.NoSuchProcess):
                        self._known[pid] = psutil.Process(pid)
                        untold.append(pid)

    def _read(self, *, strictly: bool = False) -> Bytes:
        """Return the sums of those that are there.

        Who ends between its parent's turn to be read and its own is in neither: then all is read
        again. Parents are read first, so that nobody can be in both.
        """
        for _ in range(_READS):
            counts = {pid: self._counts(pid, strictly=strictly) for pid in self._known}
            ended = {pid for pid, count in counts.items() if count is None}
            self._known = {pid: p for pid, p in self._known.items() if pid not in ended}
            if not ended:
                break
        found = [count for count in counts.values() if count is not None]
        return sum(read for read, _ in found), sum(written for _, written in found)

    def _counts(self, pid: int, *, strictly: bool) -> Bytes | None:
        """Return what one process has moved; None if it has ended."""
        try:
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        except PermissionError as error:
            if not strictly:
                return 0, 0
            raise self._refused(error) from error
        except (FileNotFoundError, ProcessLookupError) as error:
            if strictly and not Path("/proc/self/io").exists():
                raise self._refused(error) from error
            return None
        words = dict(line.split() for line in lines)
        read, written = (int(words[name]) for name in _FIELDS)
        return read, written

    def _refused(self, error: OSError) -> EnvironmentRefused:
        return EnvironmentRefused(
            f"{self._what}: what its processes read and write cannot be seen: {error}"
        )


def _children(pid: int) -> list[int]:
    """Return the children of a main thread; those of other threads only a scan finds."""
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
