"""When users were served again: one estimator, for signals from end to end and for probes alike.

An operation is *bad* when it was not served within its deadline; one whose outcome nobody was
told is bad too, because whoever waited for the answer did not get it. It is *rough* when it is
bad or does not keep the p99 of the steady state, else *calm*.

The steady state *breaks* at a rough operation from which on a slot of 100 ms does not keep the
wanted success, or a hold (`steady.for_ns`) does not keep the wanted p99. A break belongs to a
fault when it shows after the fault was asked for and comes due no later than one hold after its
undoing. The steady state holds *again* at t6: the first calm operation after a rough one, later
than the first break of every fault, from which on every slot of a whole hold keeps the success
and the hold keeps the p99. The hold has to lie inside the load window.

Bounds come from the operations at the edges, by when they came due: one that came due at d and
failed shows that the service was failing at d or later, however late the answer came.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gameday.analysis.operations import Flags, Int64s, Operations, keeps
from gameday.model.clock import MILLISECOND
from gameday.model.history import FaultTimes
from gameday.model.result import Window
from gameday.model.scenario import Steady

__all__ = ["SLOT_NS", "Bracket", "Recovery", "estimate"]

SLOT_NS = 100 * MILLISECOND
_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """A moment, and the two between which the truth lies; infinite when it never came."""

    at_ns: float
    low_ns: float
    high_ns: float

    @property
    def came(self) -> bool:
        """Whether the moment came while the load was watched."""
        return math.isfinite(self.at_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How one stream of operations got through the faults; absolute monotonic ns."""

    failing: Bracket | None
    """t2, the first failure. None: no operation failed."""
    visible_ns: int | None
    """When a client first knew of a failure."""
    served: Bracket | None
    """t5, the first success after the last failure before t6."""
    steady: Bracket
    """t6. It is t0 when the steady state was never left."""
    healed: Bracket | None
    """The same, sought from the last undoing on; t4 when it was never left. None without t4."""
    broken: bool
    """Whether the steady state was left at all."""
    bad: int
    """The operations that were bad from t0 to t6."""
    samples: int
    """The operations that came due from t0 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    """One stream under one steady state, with running counts so that a span costs a lookup."""

    operations: Operations
    steady: Steady
    end_ns: int
    rough: Flags
    good_before: Int64s
    ok_before: Int64s
    slow_before: Int64s

    @classmethod
    def of(cls, operations: Operations, steady: Steady, end_ns: int) -> "_Track":
        slow = operations.ok & ~keeps(steady.p99, operations.latency_ns)
        return cls(
            operations=operations,
            steady=steady,
            end_ns=end_ns,
            rough=slow | ~operations.good,
            good_before=_running(operations.good),
            ok_before=_running(operations.ok),
            slow_before=_running(slow),
        )

    def swift(self, first: Int64s, last: Int64s) -> Flags:
        """Tell for each span of operations whether at least 99 % of the served keep the p99."""
        served = self.ok_before[last] - self.ok_before[first]
        slow = self.slow_before[last] - self.slow_before[first]
        return 100 * slow <= served

    def breaks(self) -> Int64s:
        """Return the indices of the operations at which the steady state breaks."""
        due_ns = self.operations.due_ns
        first = np.flatnonzero(self.rough)
        slot_end = np.searchsorted(due_ns, due_ns[first] + SLOT_NS)
        good = self.good_before[slot_end] - self.good_before[first]
        failing = ~keeps(self.steady.success, good / (slot_end - first))
        hold_end_ns = due_ns[first] + self.steady.for_ns
        slow = ~self.swift(first, np.searchsorted(due_ns, hold_end_ns))
        whole = hold_end_ns <= self.end_ns  # a share of a cut-off hold would be one of too few
        return first[failing | (slow & whole)]

    def again(self, after: int) -> Bracket:
        """Return when the steady state held again, `after` the operation of that index."""
        due_ns, operations = self.operations.due_ns, self.operations
        rough_before = self.rough[after:-1]
        starts = after + 1 + np.flatnonzero(rough_before & ~self.rough[after + 1 :])
        ends_ns = due_ns[starts] + self.steady.for_ns
        whole = ends_ns <= self.end_ns
        swift = self.swift(starts, np.searchsorted(due_ns, np.minimum(ends_ns, self.end_ns)))
        tried = np.flatnonzero(swift | ~whole)
        for chunk in range(0, tried.size, _CHUNK):
            some = tried[chunk : chunk + _CHUNK]
            held = some[self._slots_keep(starts[some])]
            if held.size:
                start = int(starts[held[0]])
                before_ns = int(due_ns[start - 1])
                if not whole[held[0]]:  # it may have held from here on: nobody watched for so long
                    return Bracket(at_ns=math.inf, low_ns=before_ns, high_ns=math.inf)
                return Bracket(
                    at_ns=int(due_ns[start]),
                    low_ns=before_ns,
                    high_ns=int(operations.done_ns[start]),
                )
        return Bracket(at_ns=math.inf, low_ns=int(due_ns[-1]), high_ns=math.inf)

    def _slots_keep(self, starts: Int64s) -> Flags:
        """Tell for each start whether every slot of its hold, up to the end, keeps the success."""
        due_ns = self.operations.due_ns
        slots = np.arange(0, self.steady.for_ns, SLOT_NS)
        edges_ns = due_ns[starts][:, None] + np.append(slots, self.steady.for_ns)
        edges = np.searchsorted(due_ns, np.minimum(edges_ns, self.end_ns))
        count = np.diff(edges, axis=1)
        good = np.diff(self.good_before[edges], axis=1)
        kept = keeps(self.steady.success, good / np.maximum(count, 1))
        return np.asarray(np.all(kept | (count == 0), axis=1))


def estimate(
    operations: Operations, faults: Sequence[FaultTimes], steady: Steady, end_ns: int
) -> Recovery | None:
    """Return how `operations` recovered; `end_ns` ends the load. None: no fault, or no load in it.

    With several faults t0 is the first one's, and t6 lies after the first break of each.
    """
    if not faults:
        return None
    t0_ns = min(fault.injected.start_ns for fault in faults)
    since = int(np.searchsorted(operations.due_ns, t0_ns))
    if since == len(operations):
        return None
    track = _Track.of(operations, steady, end_ns)
    breaks = track.breaks()
    spans = [
        Window(
            start_ns=fault.injected.start_ns,
            end_ns=(fault.undone.end_ns if fault.undone else end_ns) + steady.for_ns,
        )
        for fault in faults
    ]
    first_breaks = [_first(operations, breaks, span) for span in spans]
    after = max((i for i in first_breaks if i is not None), default=None)
    never_left = Bracket(at_ns=t0_ns, low_ns=t0_ns, high_ns=t0_ns + operations.spacing_ns)
    again = never_left if after is None else track.again(after)
    if after is None and t0_ns + steady.for_ns > end_ns:
        again = Bracket(at_ns=math.inf, low_ns=t0_ns, high_ns=math.inf)
    bad = np.flatnonzero(~operations.good)
    if after is not None:  # however long ago the undoing was: all until the steady state held again
        own = _belonging(operations, bad, Window(start_ns=t0_ns, end_ns=end_ns))
        own = own[operations.due_ns[own] < again.at_ns]
    else:
        own = _belonging(operations, bad, _union(spans))
        if own.size:  # tolerated ones: only those next to the first are one outage with it
            own = own[: int(np.argmax(np.append(np.diff(own) != 1, [True]))) + 1]
    return Recovery(
        failing=_failing(operations, own, t0_ns) if own.size else None,
        visible_ns=max(t0_ns, int(operations.visible_ns(own).min())) if own.size else None,
        served=_served(operations, own, t0_ns) if own.size else None,
        steady=again,
        healed=_healed(track, breaks, faults, again),
        broken=after is not None,
        bad=int(own.size),
        samples=len(operations) - since,
    )


def _running(flags: Flags) -> Int64s:
    before = np.zeros(flags.size + 1, np.int64)
    np.cumsum(flags, out=before[1:])
    return before


def _belonging(operations: Operations, indices: Int64s, span: Window) -> Int64s:
    """Return those that came due before the span's end and whose end shows inside it."""
    due = indices[operations.due_ns[indices] <= span.end_ns]
    return due[operations.visible_ns(due) >= span.start_ns]


def _first(operations: Operations, indices: Int64s, span: Window) -> int | None:
    found = _belonging(operations, indices, span)
    return int(found[0]) if found.size else None


def _union(spans: Sequence[Window]) -> Window:
    return Window(
        start_ns=min(span.start_ns for span in spans), end_ns=max(span.end_ns for span in spans)
    )


def _failing(operations: Operations, own: Int64s, t0_ns: int) -> Bracket:
    """Return t2. The failing began after the last success before, at latest with a sure sign."""
    first = int(own[0])
    due_ns = int(operations.due_ns[first])
    before = operations.due_ns[:first][operations.good[:first]]
    before_ns = int(before[-1]) if before.size else t0_ns
    # A request that waits for its time limit failed long before that: at latest when an
    # undisturbed one would have been answered.
    calm = operations.good & (operations.done_ns < t0_ns)
    usual_ns = int(operations.latency_ns[calm].max(initial=0)) or operations.deadline_ns
    latest_ns = min(int(operations.visible_ns(own).min()), due_ns + usual_ns)
    return Bracket(
        at_ns=max(due_ns, t0_ns),
        low_ns=max(before_ns, t0_ns),
        high_ns=max(latest_ns, due_ns, t0_ns),
    )


def _served(operations: Operations, own: Int64s, t0_ns: int) -> Bracket:
    """Return t5, bracketed by when the last failure came due and when the first success ended."""
    last = int(own[-1])
    low_ns = max(int(operations.due_ns[last]), t0_ns)
    later = np.flatnonzero(operations.good[last + 1 :])
    if not later.size:
        return Bracket(at_ns=math.inf, low_ns=low_ns, high_ns=math.inf)
    first = last + 1 + int(later[0])
    return Bracket(
        at_ns=max(int(operations.due_ns[first]), t0_ns),
        low_ns=low_ns,
        high_ns=max(int(operations.done_ns[first]), t0_ns),
    )


def _healed(
    track: _Track, breaks: Int64s, faults: Sequence[FaultTimes], again: Bracket
) -> Bracket | None:
    """Return when the steady state held after the last undoing; it may have before its proof."""
    undoings = [fault.undone.start_ns for fault in faults if fault.undone is not None]
    proofs = [fault.undo_proven_ns for fault in faults if fault.undo_proven_ns is not None]
    if len(undoings) < len(faults) or len(proofs) < len(faults):
        return None
    t3_ns, t4_ns = max(undoings), max(proofs)
    if again.at_ns >= t3_ns:
        return again
    span = Window(start_ns=t3_ns, end_ns=t4_ns + track.steady.for_ns)
    relapse = _first(track.operations, breaks, span)
    if relapse is not None:
        return track.again(relapse)
    return Bracket(at_ns=t4_ns, low_ns=t4_ns, high_ns=t4_ns + track.operations.spacing_ns)
