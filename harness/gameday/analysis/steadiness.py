"""Whether a span of load, taken as a whole, was in the steady state."""

import numpy as np

from gameday.analysis.operations import Operations, keeps
from gameday.model.scenario import Steady

__all__ = ["unsteady"]


def unsteady(operations: Operations, steady: Steady) -> str | None:
    """Return why these operations, taken as a whole, are not the steady state; None: they are."""
    count = len(operations)
    if not count:
        return "no operation came due, so there was no steady state to see"
    ratio = int(np.count_nonzero(operations.good)) / count
    if not steady.success.holds(ratio):
        return f"{ratio:.4%} of {count} operations succeeded, wanted {steady.success.text}"
    latency_ns = operations.latency_ns[operations.ok]
    swift = int(np.count_nonzero(keeps(steady.p99, latency_ns)))
    if 100 * (latency_ns.size - swift) > latency_ns.size:
        return f"only {swift} of {latency_ns.size} operations kept a latency of {steady.p99.text}"
    return None
