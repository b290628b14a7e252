"""Measures the noise of the host: late wake-ups, slow syncs, and use of the processors."""

import errno
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gameday.errors import EnvironmentRefused, InternalError
from gameday.host.child import Child
from gameday.load.heartbeat import PAIR, SILENT_NS, silent_now
from gameday.load.recorder import LATENESS
from gameday.model.clock import MICROSECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.history import HostNoise

__all__ = [
    "HostNoiseMeter",
    "HostTimes",
    "crowding",
    "host_facts",
    "read_host_times",
    "read_pairs",
    "read_runnable",
    "share",
]

_READY_LIMIT_NS = 15 * SECOND
_EXIT_LIMIT_NS = 20 * SECOND
"""A sync that is under way ends first: nothing can cut it short."""
_IDLE, _IOWAIT, _STEAL, _STRESSOR = 3, 4, 7, 8
_RUNNING = re.compile(r"^procs_running (\d+)", re.MULTILINE)
_SOME_WAITED = re.compile(r"^some .*\btotal=(\d+)", re.MULTILINE)


class HostNoiseMeter:
    """Measures the host from `start` to `stop`; its process ends with ours."""

    def __init__(self, folder: Path, log: Path) -> None:
        """`folder` gets a file for each kind of stall, `log` what the process says if it fails.

        It is the folder of the load driver, too, whose lateness is part of the noise.
        """
        self._noise_meter, self._syncs = folder / "hiccups.bin", folder / "syncs.bin"
        self._beats, self._lateness = folder / "heartbeats.bin", folder / LATENESS
        self._blocks = _where_data_is(folder) / f"gameday-witness-{os.getpid()}"
        self._log = log
        self._proxies: tuple[str, ...] = ()
        self._child: Child | None = None
        self._before: HostTimes | None = None
        self._runnable: list[int] = []

    def start(self, proxies: Sequence[str] = ()) -> None:
        """Return once it measures; `proxies` are the addresses where proxy servers take calls."""
        self._proxies = tuple(proxies)
        files = (self._noise_meter, self._syncs, self._blocks, self._beats)
        arguments = ("-m", "gameday.load.sleeper", *(str(file) for file in files), *proxies)
        self._child = Child("the hiccup meter", arguments, self._log)
        try:
            self._child.hear(_READY_LIMIT_NS)
        except BaseException:
            self.kill()
            raise
        self._before = read_host_times()

    def check(self) -> None:
        """Count who wants a processor; some times a second.

        Raises EnvironmentRefused if a proxy is silent for long, InternalError if it has died, and
        OSError if it has died and its disk is full.
        """
        self._runnable.append(read_runnable())
        with self._disk_in_mind():
            message = None if self._child is None else self._child.heard()
        if message is not None:
            raise _silent(str(message["silent"]))

    def check_proxies(self) -> None:
        """Raise EnvironmentRefused if a proxy does not answer now: it died in the last seconds."""
        for proxy in silent_now(self._proxies):
            raise _silent(proxy)

    def stop(self, *, driver_cpu: float, lateness_p99_ns: int = 0) -> HostNoise:
        """End it and return what it saw; InternalError if it had died before.

        The load driver has ended already; the figures of its report are part of the noise.
        """
        if self._child is None or self._before is None:
            raise InternalError("the hiccup meter was not started")
        before, after = self._before, read_host_times()
        try:
            with self._disk_in_mind():
                self._child.check()
            self._child.end(_EXIT_LIMIT_NS)
        finally:
            self.kill()
        hiccup_at_ns, hiccup_ns = read_pairs(self._noise_meter)
        disk_at_ns, disk_ns = read_pairs(self._syncs)
        late_at_ns, late_ns = read_pairs(self._lateness)
        proxy_at_ns, proxy_ns = read_pairs(self._beats)
        all_ticks = after.ticks - before.ticks
        passed_us = (after.at_ns - before.at_ns) // MICROSECOND
        return HostNoise(
            hiccup_at_ns=hiccup_at_ns,
            hiccup_ns=hiccup_ns,
            disk_at_ns=disk_at_ns,
            disk_ns=disk_ns,
            busy=share(before.busy, after.busy, all_ticks) or 0.0,
            steal=share(before.steal, after.steal, all_ticks) or 0.0,
            cpu_pressure=share(before.cpu_waited_us, after.cpu_waited_us, passed_us),
            io_pressure=share(before.io_waited_us, after.io_waited_us, passed_us),
            driver_cpu=driver_cpu,
            crowding=crowding(self._runnable, processors=os.cpu_count() or 1),
            lateness_p99_ns=lateness_p99_ns,
            late_at_ns=late_at_ns,
            late_ns=late_ns,
            proxy_at_ns=proxy_at_ns,
            proxy_ns=proxy_ns,
        )

    @contextmanager
    def _disk_in_mind(self) -> Iterator[None]:
        """Put the death of the process down to the disk that it writes to, if that is full."""
        try:
            yield
        except InternalError as error:
            if shutil.disk_usage(self._syncs.parent).free:
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error

    def kill(self) -> None:
        """Make sure that it is gone, and its blocks."""
        if self._child is not None:
            self._child.kill()
            self._blocks.unlink(missing_ok=True)


def _silent(proxy: str) -> EnvironmentRefused:
    return EnvironmentRefused(
        f"the proxy server at {proxy} has not answered for {SILENT_NS / SECOND:g} s: it is dead or "
        "stalled, so nothing is known about the system behind it"
    )


def _where_data_is(folder: Path) -> Path:
    """Return `folder` if it is on the disk that the services have their data on, else theirs."""
    theirs = Path(tempfile.gettempdir())
    return folder if folder.stat().st_dev == theirs.stat().st_dev else theirs


def read_pairs(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when stalls ended and how long they were; also of an unfinished file, or of none."""
    data = file.read_bytes() if file.exists() else b""
    pairs = np.frombuffer(data[: len(data) // PAIR.size * PAIR.size], "<i8").reshape(-1, 2)
    return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTimes:
    """What the host has counted since it booted, all processors together."""

    at_ns: int
    ticks: int
    """Of every processor, whatever it did; 0 where the host counts none."""
    busy: int
    steal: int
    cpu_waited_us: int | None
    """The time in which something waited for a processor; None where the host does not count."""
    io_waited_us: int | None


def read_host_times(proc: Path = Path("/proc")) -> HostTimes:
    """Return the host's times up to now."""
    name, *fields = _text(proc / "stat").partition("\n")[0].split() or [""]
    # The guests' time, which comes last, is counted as the user's already.
    ticks = [int(field) for field in fields[:_STRESSOR]]
    if name != "cpu" or len(ticks) < _STRESSOR:
        ticks = [0] * _STRESSOR
    return HostTimes(
        at_ns=time.monotonic_ns(),
        ticks=sum(ticks),
        busy=sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT],
        steal=ticks[_STEAL],
        cpu_waited_us=_waited_us(proc / "pressure" / "cpu"),
        io_waited_us=_waited_us(proc / "pressure" / "io"),
    )


def read_runnable(proc: Path = Path("/proc")) -> int:
    """Return how many threads of the host run or wait for a processor, but for the caller's."""
    found = _RUNNING.search(_text(proc / "stat"))
    return max(0, int(found[1]) - 1) if found else 0


def crowding(runnable: Sequence[int], *, processors: int) -> float:
    """Return how many threads share a processor, on average; at least 1."""
    shares = [max(1.0, count / processors) for count in runnable]
    return sum(shares) / len(shares) if shares else 1.0


def _waited_us(file: Path) -> int | None:
    found = _SOME_WAITED.search(_text(file))
    return int(found[1]) if found else None


def _text(file: Path) -> str:
    # A kernel without pressure counters has no such file, or refuses to read it.
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""


def share(before: int | None, after: int | None, of: int) -> float | None:
    """Return the growth of a counter as a share of `of`; None where there is nothing to tell."""
    if before is None or after is None or of <= 0:
        return None
    return min(1.0, max(0.0, (after - before) / of))


def host_facts(noise: HostNoise | None, proxy: str) -> dict[str, Scalar]:
    """Return what is worth knowing of the host that a run was made on."""
    shares = (
        {}
        if noise is None
        else {
            "busy": noise.busy,
            "steal": noise.steal,
            "crowding": noise.crowding,
            "cpu_pressure": noise.cpu_pressure,
            "io_pressure": noise.io_pressure,
        }
    )
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "proxy": proxy,
        **{name: None if seen is None else round(seen, 4) for name, seen in shares.items()},
    }
