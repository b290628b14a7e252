"""Wall clocks of individual services: libfaketime, preloaded, reads the offset from a file.

Only the wall clock changes: timeouts and intervals use the monotonic one.
"""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from gameday.host.account import create_file
from gameday.host.ours import is_our_file
from gameday.model.clock import SECOND
from gameday.model.result import Window

__all__ = [
    "CONTAINER_FOLDER",
    "START",
    "UNTOUCHED",
    "FakeClock",
    "ahead",
    "clock_files_of",
    "clocked_runs",
    "find_libfaketime",
    "forget",
    "ignored",
    "preloaded",
    "until_read",
]

_NAME = "libfaketime.so.1"
_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
_SHARED = Path("/dev/shm")  # noqa: S108
_PREFIX = "clock-gameday-"
_MARGIN_NS = 20_000_000

UNTOUCHED = "+0\n"
"""Before any fault. It names no rate: with one the library computes in steps of 256 ns."""

CONTAINER_FOLDER = "/gameday-clock"


def find_libfaketime() -> Path | None:
    """Return the library of this host, where distributions put it."""
    for folder in _FOLDERS:
        for pattern in (f"*/faketime/{_NAME}", f"faketime/{_NAME}"):
            found = sorted(Path(folder).glob(pattern))
            if found:
                return found[0]
    return None


def preloaded(library: str, *, file: str, shared: str) -> Mapping[str, str]:
    """Return the environment variables of a process whose wall clock goes by `file`.

    The C library comes second, before what the program is linked with: an allocator of its own,
    as some servers have, asks for the time within its first allocation, and libfaketime
    allocates to answer that, for ever. `shared` names a semaphore and a shared memory that exist:
    left alone the library makes its own, which only their maker may open and a SIGKILL leaves.
    """
    return {
        "LD_PRELOAD": f"{library} libc.so.6",
        "FAKETIME_SHARED": f"/{shared} /{shared}",
        "FAKETIME_TIMESTAMP_FILE": file,
        # The file is read again in every new second: a store that reads it at every call answers a
        # third as often.
        "FAKETIME_CACHE_DURATION": "0",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "FAKE_UTIME": "0",
    }


def ahead(offset_ns: int, rate: float) -> str:
    """Return what the file says from now on: a clock ahead by `offset_ns` that runs at `rate`.

    The library counts from the start that it finds in its shared memory, which is 1970. The rate
    is named also when it is 1: without one that of before is kept.
    """
    since_ns = time.time_ns()
    return f"{(offset_ns + since_ns * (1 - rate)) / SECOND:+.6f} x{rate!r}\n"


def until_read(called_ns: int) -> Window:
    """Return once everybody has read the file again, which happens in the next second."""
    time.sleep((SECOND - time.time_ns() % SECOND + _MARGIN_NS) / SECOND)
    return Window(start_ns=called_ns, end_ns=time.monotonic_ns())


def ignored(name: str) -> str:
    """Return how a service is refused that runs without the library that it was started with."""
    return (
        f"{name} still has the host's clock: its loader ignores this host's libfaketime; "
        "use an image with the same C library"
    )


class FakeClock:
    """The clock of one service that runs as a local process; it survives restarts."""

    def __init__(self, run: str, name: str, folder: Path) -> None:
        self._file = folder / f"{name}.clock"
        self._stem = f"{_PREFIX}{run}-{name}"
        self._shared: tuple[Path, ...] = ()
        self._account: int | None = None

    def variables(self, account: int | None) -> Mapping[str, str]:
        """Make what the library wants to find, and return what a process has to be started with.

        Made anew for every start: a process that died while it held the semaphore would keep the
        next one from starting. Only the account that the service runs as may open them. In that
        folder anybody may make files, so the names are such that nobody knows them before.
        """
        _remove(self._shared)
        shared = f"{self._stem}-{token_hex(4)}"
        self._shared = (_SHARED / f"sem.{shared}", _SHARED / shared)
        self._account = account
        for file, content in zip(self._shared, (_semaphore(), bytes(4096)), strict=True):
            create_file(file, content, account)
        self.say(self.said() or UNTOUCHED)
        library = find_libfaketime()
        assert library is not None, "planning has tried it"
        return preloaded(str(library), file=str(self._file), shared=shared)

    def said(self) -> str:
        """Return what the file says; "" where there is none."""
        return self._file.read_text() if self._file.exists() else ""

    def say(self, text: str) -> None:
        """Replace the file at once: half of a text would be another time."""
        new = self._file.with_name(f"{self._file.name}.{token_hex(4)}")
        create_file(new, text.encode(), self._account)
        os.replace(new, self._file)  # noqa: PTH105


def clock_files_of(run: str) -> list[Path]:
    """Return what the clocks of a run have in shared memory."""
    return sorted(file for file in _SHARED.glob(f"*{_PREFIX}{run}-*") if is_our_file(file))


def clocked_runs() -> set[str]:
    """Return the runs whose clocks have anything in shared memory."""
    files = (file for file in _SHARED.glob(f"*{_PREFIX}*-*") if is_our_file(file))
    return {file.name.partition(_PREFIX)[2].partition("-")[0] for file in files}


def forget(run: str) -> tuple[str, ...]:
    """Remove what the clocks of a run have in shared memory; return what was removed."""
    files = clock_files_of(run)
    _remove(files)
    return tuple(f"shared memory {file}" for file in files if not file.exists())


def _semaphore() -> bytes:
    """Return a semaphore of the C library that is free."""
    return b"\1" + bytes(31)


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


START = f"""umask 0
printf '\\001' > /dev/shm/sem.clock-gameday
head -c 31 /dev/zero >> /dev/shm/sem.clock-gameday
head -c 4096 /dev/zero > /dev/shm/clock-gameday
umask 22
exec env {
    " ".join(
        f"'{key}={value}'"
        for key, value in preloaded(
            f"{CONTAINER_FOLDER}/{_NAME}", file=f"{CONTAINER_FOLDER}/now", shared="clock-gameday"
        ).items()
    )
} "$@"
"""
"""What a container runs in front of its entry point, as /dev/shm is new at each of its starts."""
