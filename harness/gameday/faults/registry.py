"""Every fault by its verb."""

from collections.abc import Mapping

from gameday.faults.kill import Kill
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
from gameday.faults.protocol import Fault

__all__ = ["FAULTS"]

_ALL: tuple[type[Fault], ...] = (
    Kill,
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
