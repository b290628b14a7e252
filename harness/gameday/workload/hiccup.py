"""How still the host is while it measures: late wake-ups, and time that the hypervisor took."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gameday.child import Child
from gameday.errors import InternalError
from gameday.model.clock import SECOND
from gameday.model.history import HostNoise
from gameday.workload.sleeper import PAIR

__all__ = ["CpuTimes", "HiccupMeter", "read_cpu_times", "read_hiccups", "steal_share"]

_READY_LIMIT_NS = 15 * SECOND
_EXIT_LIMIT_NS = 2 * SECOND
_STEAL_FIELD = 7
_GUEST_FIELD = 8


class HiccupMeter:
    """Watches the host from `start` to `stop`; its process ends with ours."""

    def __init__(self, file: Path, log: Path) -> None:
        """`file` gets every late wake-up, `log` what the process has to say if it fails."""
        self._file = file
        self._log = log
        self._child: Child | None = None
        self._before: CpuTimes | None = None

    def start(self) -> None:
        """Return once it measures."""
        arguments = ("-m", "gameday.workload.sleeper", str(self._file))
        self._child = Child("the hiccup meter", arguments, self._log)
        try:
            self._child.hear(_READY_LIMIT_NS)
        except BaseException:
            self._child.kill()
            raise
        self._before = read_cpu_times()

    def stop(self, *, driver_cpu: float) -> HostNoise:
        """End it and return what it saw; InternalError if it had died before."""
        if self._child is None:
            raise InternalError("the hiccup meter was not started")
        try:
            self._child.check()
            self._child.end(_EXIT_LIMIT_NS)
        finally:
            self._child.kill()
        at_ns, late_ns = read_hiccups(self._file)
        steal = steal_share(self._before, read_cpu_times())
        return HostNoise(hiccup_at_ns=at_ns, hiccup_ns=late_ns, steal=steal, driver_cpu=driver_cpu)

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self._child is not None:
            self._child.kill()


def read_hiccups(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when wake-ups over 1 ms late were, and by how much; also of a file being written."""
    data = file.read_bytes()
    pairs = np.frombuffer(data[: len(data) // PAIR.size * PAIR.size], "<i8").reshape(-1, 2)
    return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """The processor time that the host has counted since it booted, in clock ticks."""

    total: int
    steal: int


def read_cpu_times(stat: Path = Path("/proc/stat")) -> CpuTimes | None:
    """Return the host's processor times; None where it counts none."""
    try:
        first = stat.read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return None
    name, *fields = first.split()
    # The guests' time, which comes last, is counted as the user's already.
    ticks = [int(field) for field in fields[:_GUEST_FIELD]]
    if name != "cpu" or len(ticks) < _GUEST_FIELD:
        return None
    return CpuTimes(total=sum(ticks), steal=ticks[_STEAL_FIELD])


def steal_share(before: CpuTimes | None, after: CpuTimes | None) -> float:
    """Return the share of processor time that the hypervisor took between two readings."""
    if before is None or after is None or after.total <= before.total:
        return 0.0
    return (after.steal - before.steal) / (after.total - before.total)
