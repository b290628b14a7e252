"""Whether the load crossed an edge: what passed its proxy, held against the load's operations."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LEAST_BYTES", "Crossing"]

LEAST_BYTES = 8.0
"""What has to pass for each operation that was served; heartbeats at usual rates stay below it."""
_AT_REST = 0.5
"""The share of its traffic that an edge may have without load, before and after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """What passed an edge while there was load, less what the harness's own probes said there."""

    passed_bytes: int
    operations: int
    """How many operations of the load were served meanwhile."""
    per_s: float = 0.0
    at_rest_per_s: Sequence[float] = ()
    """The same where there was no load: right before it and right after it, if both are known."""

    @property
    def scales(self) -> bool:
        """Whether the traffic can be that of the load."""
        return self._per_operation >= LEAST_BYTES and not self._is_the_same_at_rest

    def __str__(self) -> str:
        told = f"{max(0.0, self._per_operation):.3g} bytes passed per operation"
        if self._per_operation >= LEAST_BYTES:
            return f"{told}, and as much passed before and after the load"
        return f"{told}, where at least {LEAST_BYTES:g} count as traffic of the load"

    @property
    def _per_operation(self) -> float:
        return self.passed_bytes / max(1, self.operations)

    @property
    def _is_the_same_at_rest(self) -> bool:
        both = len(self.at_rest_per_s) > 1
        return both and min(self.at_rest_per_s) >= _AT_REST * self.per_s
