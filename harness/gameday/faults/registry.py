"""Every fault by its verb."""

from collections.abc import Mapping

from gameday.faults.kill import Kill
from gameday.faults.protocol import Fault

__all__ = ["FAULTS"]

FAULTS: Mapping[str, type[Fault]] = {fault.verb: fault for fault in (Kill,)}
