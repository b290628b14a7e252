"""How long the served operations took, from when they were due, over the whole load window."""

import math

import numpy as np

from gameday.analysis.operations import Int64s, Operations, nearest_rank
from gameday.model.finding import Finding
from gameday.model.operation import Outcome
from gameday.model.units import Unit, format_duration

__all__ = ["latencies", "percentile"]

_SHARES = {"p50": 0.50, "p99": 0.99}


def latencies(operations: Operations) -> list[Finding]:
    """Return p50 and p99 of what was served, late or not; what failed has no latency.

    An unknown operation may have been faster than all others (low end) or slower (high end).
    """
    served = operations.latency_ns[operations.ok]
    count = int(served.size)
    unknown = int(np.count_nonzero(operations.outcome == Outcome.UNKNOWN))
    if not count:
        why = f"none of {len(operations)} operations was served"
        return [Finding.unmeasured(name, Unit.NS, why) for name in _SHARES]
    ranks = {
        (name, end): index
        for name, share in _SHARES.items()
        for end, index in (
            ("value", nearest_rank(count, share)),
            ("low", nearest_rank(count + unknown, share) - unknown),
            ("high", nearest_rank(count + unknown, share)),
        )
    }
    inside = sorted({min(max(rank, 0), count - 1) for rank in ranks.values()})
    parted = np.partition(served, inside)

    def at(name: str, end: str) -> float:
        rank = ranks[name, end]
        if rank < 0:
            return 0.0
        return math.inf if rank >= count else float(parted[rank])

    return [
        Finding(
            name=name,
            value=at(name, "value"),
            low=at(name, "low"),
            high=at(name, "high"),
            unit=Unit.NS,
            samples=count,
            resolution=1,
            evidence=(
                f"{share:.0%} of the {count} operations served in this run took at most "
                f"{format_duration(at(name, 'value'))} from when they were due; "
                f"{unknown} unknown ones may have taken any time"
            ),
        )
        for name, share in _SHARES.items()
    ]


def percentile(values: Int64s, share: float) -> int:
    """Return the least of `values` that `share` of them do not exceed; 0 of none."""
    if not values.size:
        return 0
    rank = nearest_rank(int(values.size), share)
    return int(np.partition(values, rank)[rank])
