"""Every fault by its verb."""

from collections.abc import Mapping

from gameday.faults.crash_loop import CrashLoop
from gameday.faults.kill import Kill
from gameday.faults.kill_inside import KillInside
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    Flap,
    Latency,
    Refuse,
    Reset,
    Slice,
    SlowClose,
)
from gameday.faults.pause import Pause
from gameday.faults.protocol import Fault
from gameday.faults.remove import Remove
from gameday.faults.restart import Restart
from gameday.faults.stop import Stop

__all__ = ["FAULTS"]

_ALL: tuple[type[Fault], ...] = (
    Kill,
    Stop,
    Restart,
    CrashLoop,
    Pause,
    Remove,
    KillInside,
    Latency,
    Bandwidth,
    Blackhole,
    Refuse,
    Reset,
    Slice,
    ByteLimit,
    SlowClose,
    Flap,
)

FAULTS: Mapping[str, type[Fault]] = {fault.verb: fault for fault in _ALL}
