"""Every fault by its verb."""

from collections.abc import Mapping

from gameday.faults.kill import Kill

__all__ = ["FAULTS"]

FAULTS: Mapping[str, type] = {fault.verb: fault for fault in (Kill,)}
