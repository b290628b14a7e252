"""How long operations took to be served, from when they were due, over the whole load window."""

import math

import numpy as np

from gameday.analysis.operations import Int64s, Operations, nearest_rank
from gameday.model.finding import Finding
from gameday.model.units import Unit, format_duration

__all__ = ["latencies", "percentile"]

_SHARES = {"p50": 0.50, "p99": 0.99}


def latencies(operations: Operations) -> list[Finding]:
    """Return p50 and p99 of the response times of what was served, late or not.

    What got nothing by its deadline took longer than that, nobody knows how long: it counts at
    the deadline for the low end and as never for the value and the high end. What got an error
    has no response time; availability counts it.
    """
    served = operations.latency_ns[operations.ok]
    silent = int(np.count_nonzero(operations.unanswered))
    count = int(served.size) + silent
    if not count:
        why = f"none of {len(operations)} operations was served"
        return [Finding.unmeasured(name, Unit.NS, why) for name in _SHARES]
    at_least = np.append(served, np.full(silent, operations.deadline_ns))
    ranks = {name: nearest_rank(count, share) for name, share in _SHARES.items()}
    low = np.partition(at_least, sorted(set(ranks.values())))
    inside = sorted({rank for rank in ranks.values() if rank < served.size})
    value = np.partition(served, inside) if inside else served
    return [
        _percentile(
            name,
            low_ns=float(low[rank]),
            value_ns=float(value[rank]) if rank < served.size else math.inf,
            served=int(served.size),
            silent=silent,
        )
        for name, rank in ranks.items()
    ]


def _percentile(name: str, *, low_ns: float, value_ns: float, served: int, silent: int) -> Finding:
    most = "did not come" if math.isinf(value_ns) else f"took at most {format_duration(value_ns)}"
    unserved = (
        f"; {silent} got nothing by their deadline, which is longer than any" if silent else ""
    )
    return Finding(
        name=name,
        value=value_ns,
        low=low_ns,
        high=value_ns,
        unit=Unit.NS,
        samples=served + silent,
        resolution=1,
        evidence=(
            f"the answer at {_SHARES[name]:.0%} of {served + silent} operations {most}, counted "
            f"from when they were due{unserved}"
        ),
    )


def percentile(values: Int64s, share: float) -> int:
    """Return the least of `values` that `share` of them do not exceed; 0 of none."""
    if not values.size:
        return 0
    rank = nearest_rank(int(values.size), share)
    return int(np.partition(values, rank)[rank])
