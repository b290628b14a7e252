"""The load in slots of equal width, for pictures."""

import math

import numpy as np

from gameday.analysis.operations import Int64s, Operations
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
    latency_ns = operations.latency_ns[served]
    slot = (operations.due_ns[served] - load.start_ns) // slot_ns
    # One sort of one number: the slot above, the latency below (40 bits are 18 minutes).
    widest = (1 << 40) - 1
    ranked = np.sort((slot << 40) | np.clip(latency_ns, 0, widest)) & widest
    ends = np.searchsorted(served, edges)
    return TimeSeries(
        start_ns=load.start_ns - zero_ns,
        slot_ns=slot_ns,
        ok=tuple(good.tolist()),
        failed=tuple((np.diff(edges) - good - unclear).tolist()),
        unknown=tuple(unclear.tolist()),
        p50_ns=_ranks(ranked, ends, 0.50),
        p99_ns=_ranks(ranked, ends, 0.99),
    )


def _per_slot(flags: np.typing.NDArray[np.bool_], edges: Int64s) -> Int64s:
    before = np.append(np.int64(0), np.cumsum(flags))
    return np.asarray(np.diff(before[edges]))


def _ranks(ranked: Int64s, ends: Int64s, share: float) -> tuple[int | None, ...]:
    count = np.diff(ends)
    rank = np.maximum(np.ceil(np.round(share * count, 9)).astype(np.int64) - 1, 0)
    some = count > 0
    values = np.zeros(count.size, np.int64)
    values[some] = ranked[(ends[:-1] + rank)[some]]
    return tuple(
        value if there else None
        for value, there in zip(values.tolist(), some.tolist(), strict=True)
    )
