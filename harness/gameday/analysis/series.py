"""The load in slots of equal width, for pictures."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gameday.analysis.operations import Flags, Int64s, Operations, nearest_rank
from gameday.model.clock import MILLISECOND
from gameday.model.operation import Outcome
from gameday.model.result import TimeSeries, Window

__all__ = ["time_series"]

_SLOT_NS = 100 * MILLISECOND
_MOST_SLOTS = 3000


def time_series(operations: Operations, load: Window, zero_ns: int) -> TimeSeries:
    """Return what came of the operations due in each slot; there are at most 3000 slots.

    `ok` is what was served in time; late ones are among the failed, and in the latencies.
    """
    span_ns = max(1, load.end_ns - load.start_ns)
    slot_ns = _SLOT_NS * math.ceil(span_ns / (_SLOT_NS * _MOST_SLOTS))
    edges_ns = load.start_ns + slot_ns * np.arange(math.ceil(span_ns / slot_ns) + 1)
    edges = np.searchsorted(operations.due_ns, edges_ns)
    unknown = operations.outcome == Outcome.UNKNOWN
    good, unclear = _per_slot(operations.good, edges), _per_slot(unknown, edges)
    served = np.flatnonzero(operations.ok)
    ranks = _ranks(operations.latency_ns[served], np.searchsorted(served, edges).tolist())
    return TimeSeries(
        start_ns=load.start_ns - zero_ns,
        slot_ns=slot_ns,
        ok=tuple(good.tolist()),
        failed=tuple((np.diff(edges) - good - unclear).tolist()),
        unknown=tuple(unclear.tolist()),
        p50_ns=tuple(p50 for p50, _ in ranks),
        p99_ns=tuple(p99 for _, p99 in ranks),
    )


def _per_slot(flags: Flags, edges: Int64s) -> Int64s:
    before = np.append(np.int64(0), np.cumsum(flags))
    return np.asarray(np.diff(before[edges]))


def _ranks(latency_ns: Int64s, edges: Sequence[int]) -> list[tuple[int, int] | tuple[None, None]]:
    """Return p50 and p99 of each slot; a partition of each costs half of sorting them all."""
    ranks: list[tuple[int, int] | tuple[None, None]] = []
    for first, last in pairwise(edges):
        count = last - first
        if not count:
            ranks.append((None, None))
            continue
        p50, p99 = nearest_rank(count, 0.50), nearest_rank(count, 0.99)
        parted = np.partition(latency_ns[first:last], (p50, p99))
        ranks.append((int(parted[p50]), int(parted[p99])))
    return ranks
