"""When users were served again: one estimator for end-to-end signals and for probes.

An operation is *bad* when it was not served within its deadline; one whose outcome nobody was
told is bad too, because whoever waited for the answer did not get it. It is *rough* when it is
bad or does not keep the p99 of the steady state, else *calm*.

The steady state is one predicate, `steadiness.unsteady`, of all operations that came due in a span
of `steady.for_ns`: before the fault as after it. It holds *again* at t6: the first calm operation
from which on every such span holds it, until the watching ends, at least one span later. A span
that still holds it while an episode of rough operations comes to its end starts behind that end.
A system may have recovered while the fault is in, but a relapse moves t6 behind it.

Failures make *episodes* (`analysis.episodes`): t2 is the first failure of the first, t5 the first
success after the last one before t6.

Bounds come from the operations at the edges, by when they came due: one that came due at d and
failed shows that the service was failing at d or later, however late the answer came. Where only
a share of the operations failed, the edges are wider by what that share lets pass unseen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gameday.analysis.episodes import Episode, episodes
from gameday.analysis.operations import Flags, Int64s, Operations, keeps
from gameday.model.history import FaultTimes
from gameday.model.scenario import Steady

__all__ = ["Bracket", "Outage", "Recovery", "estimate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """A moment and its bounds; infinite when it never came."""

    at_ns: float
    low_ns: float
    high_ns: float

    @property
    def came(self) -> bool:
        """Whether the moment came while the load was watched."""
        return math.isfinite(self.at_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One episode of failures."""

    began: Bracket
    ended: Bracket
    """The first success after the last failure."""
    failed: int
    share: float
    """The share of the operations from the first failure to the last that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How one stream of operations recovered from the faults; absolute monotonic ns."""

    outages: tuple[Outage, ...]
    """Every episode of failures from t0 on, in the order of their times."""
    visible_ns: int | None
    """When a client first knew of a failure. None: no operation failed."""
    served: Bracket | None
    """t5: the end of the last outage that began before t6; of the first, where t6 is t0."""
    steady: Bracket
    """t6. It is t0 when the steady state was never left."""
    healed: Bracket | None
    """The same, counted from the last undoing on; t4 when it held by then. None without t4."""
    broken: bool
    """Whether the steady state was left at all."""
    bad: int
    """The operations that were bad from t0 to t6, or in the outages where it was never left."""
    samples: int
    """The operations that came due from t0 on."""

    @property
    def failing(self) -> Bracket | None:
        """t2: when the first outage began. None: no operation failed."""
        return self.outages[0].began if self.outages else None


def estimate(
    operations: Operations, faults: Sequence[FaultTimes], steady: Steady, end_ns: int
) -> Recovery | None:
    """Return how `operations` recovered; `end_ns` ends the load. None: no fault, or no load in it.

    With several faults t0 is the first one's.
    """
    if not faults:
        return None
    t0_ns = min(fault.injected.start_ns for fault in faults)
    due = int(np.searchsorted(operations.due_ns, t0_ns))
    if due == len(operations):
        return None
    since = _on_their_way(operations, due, t0_ns)
    outages = tuple(
        _outage(operations, episode, t0_ns)
        for episode in episodes(~operations.good, operations.due_ns, since)
    )
    again, broken = _again(operations, steady, since, t0_ns, end_ns)
    undone_ns = max((fault.undone.end_ns for fault in faults if fault.undone), default=t0_ns)
    if again.came and undone_ns + steady.for_ns > end_ns:  # what the undoing brings was not seen
        again = Bracket(at_ns=math.inf, low_ns=again.low_ns, high_ns=math.inf)
    earlier = [outage for outage in outages if outage.began.at_ns < again.at_ns]
    last = earlier[-1] if broken and earlier else outages[0] if outages else None
    until = int(np.searchsorted(operations.due_ns, again.at_ns)) if broken else len(operations)
    return Recovery(
        outages=outages,
        visible_ns=_first_visible(operations, since, t0_ns) if outages else None,
        served=last.ended if last else None,
        steady=again,
        healed=_healed(operations, faults, again),
        broken=broken,
        bad=int(np.count_nonzero(~operations.good[since:until])),
        samples=len(operations) - due,
    )


def _on_their_way(operations: Operations, due: int, t0_ns: int) -> int:
    """Return the first operation that was due before t0, and that failed only after it."""
    longest_ns = operations.deadline_ns
    first = int(np.searchsorted(operations.due_ns, t0_ns - longest_ns))
    some = np.arange(first, due)
    caught = some[~operations.good[some] & (operations.visible_ns(some) >= t0_ns)]
    return int(caught[0]) if caught.size else due


def _first_visible(operations: Operations, since: int, t0_ns: int) -> int:
    bad = since + np.flatnonzero(~operations.good[since:])
    return max(t0_ns, int(operations.visible_ns(bad).min()))


def _again(
    operations: Operations, steady: Steady, since: int, t0_ns: int, end_ns: int
) -> tuple[Bracket, bool]:
    """Return t6, and whether the steady state was left at all."""
    due_ns, count = operations.due_ns, len(operations)
    slow = operations.ok & ~keeps(steady.p99, operations.latency_ns)
    rough = slow | ~operations.good
    unsteady = since + np.flatnonzero(_unsteady(operations, slow, steady, since, end_ns))
    if not unsteady.size:
        if t0_ns + steady.for_ns > end_ns:
            return Bracket(at_ns=math.inf, low_ns=t0_ns, high_ns=math.inf), False
        high_ns = t0_ns + operations.spacing_ns
        return Bracket(at_ns=t0_ns, low_ns=t0_ns, high_ns=high_ns), False
    start = int(unsteady[-1]) + 1
    reach = 1
    for episode in episodes(rough, due_ns, since):
        if episode.first <= start <= episode.last + 1:
            start, reach = episode.last + 1, episode.after
    calm = np.flatnonzero(~rough[start:])
    start = start + int(calm[0]) if calm.size else count
    if start == count:
        return Bracket(at_ns=math.inf, low_ns=int(due_ns[-1]), high_ns=math.inf), True
    before_ns = max(t0_ns, int(due_ns[start - 1])) if start else t0_ns
    if int(due_ns[start]) + steady.for_ns > end_ns:  # it was not watched for a whole span
        return Bracket(at_ns=math.inf, low_ns=before_ns, high_ns=math.inf), True
    return (
        Bracket(
            at_ns=int(due_ns[start]),
            low_ns=before_ns,
            high_ns=max(int(operations.done_ns[start]), int(due_ns[min(start + reach, count) - 1])),
        ),
        True,
    )


def _unsteady(
    operations: Operations, slow: Flags, steady: Steady, since: int, end_ns: int
) -> Flags:
    """Tell for each operation from `since` on whether the span from it on is not steady.

    Only whole spans count, and the last whole one for the last of them.
    """
    due_ns = operations.due_ns
    last_ns = end_ns - steady.for_ns
    inside = np.arange(since, max(since, int(np.searchsorted(due_ns, last_ns, "right"))))
    # The last span begins between two operations, and counts for the one before.
    starts_ns = np.append(due_ns[inside], max(last_ns, int(due_ns[since])))
    first = np.searchsorted(due_ns, starts_ns)
    last = np.searchsorted(due_ns, np.minimum(starts_ns + steady.for_ns, end_ns))
    good, ok, many = (_running(flags) for flags in (operations.good, operations.ok, slow))
    number = last - first
    kept = keeps(steady.success, (good[last] - good[first]) / np.maximum(number, 1))
    swift = 100 * (many[last] - many[first]) <= ok[last] - ok[first]
    left = (number > 0) & ~(kept & swift)
    if left.size > 1:
        left[-2] |= left[-1]
        left = left[:-1]
    return np.asarray(left, np.bool_)


def _running(flags: Flags) -> Int64s:
    before = np.zeros(flags.size + 1, np.int64)
    np.cumsum(flags, out=before[1:])
    return before


def _outage(operations: Operations, episode: Episode, t0_ns: int) -> Outage:
    return Outage(
        began=_failing(operations, episode, t0_ns),
        ended=_served(operations, episode, t0_ns),
        failed=episode.failed,
        share=episode.share,
    )


def _failing(operations: Operations, episode: Episode, t0_ns: int) -> Bracket:
    """Return when an episode began: after the last success before, at latest with a sure sign."""
    first = episode.first
    due_ns = int(operations.due_ns[first])
    unseen = max(first - episode.before, 0)
    before_ns = int(operations.due_ns[unseen]) if first else t0_ns
    # A request that waits for its time limit failed long before that: at latest when an
    # undisturbed one would have been answered.
    calm = operations.good & (operations.done_ns < t0_ns)
    usual_ns = int(operations.latency_ns[calm].max(initial=0)) or operations.deadline_ns
    own = np.arange(first, episode.last + 1)
    own = own[~operations.good[own]]
    latest_ns = min(int(operations.visible_ns(own).min()), due_ns + usual_ns)
    return Bracket(
        at_ns=max(due_ns, t0_ns),
        low_ns=max(before_ns, t0_ns),
        high_ns=max(latest_ns, int(operations.due_ns[episode.surely_first]), t0_ns),
    )


def _served(operations: Operations, episode: Episode, t0_ns: int) -> Bracket:
    """Return t5, bracketed by when the last failure came due and when successes ruled it out."""
    low_ns = max(int(operations.due_ns[episode.surely_last]), t0_ns)
    later = episode.last + 1 + np.flatnonzero(operations.good[episode.last + 1 :])
    if not later.size:
        return Bracket(at_ns=math.inf, low_ns=low_ns, high_ns=math.inf)
    first = int(later[0])
    enough = later.size >= episode.after
    return Bracket(
        at_ns=max(int(operations.due_ns[first]), t0_ns),
        low_ns=low_ns,
        high_ns=(
            max(int(operations.done_ns[later[episode.after - 1]]), t0_ns) if enough else math.inf
        ),
    )


def _healed(operations: Operations, faults: Sequence[FaultTimes], again: Bracket) -> Bracket | None:
    """Return when the steady state held after the last undoing; it may have before its proof."""
    undoings = [fault.undone.start_ns for fault in faults if fault.undone is not None]
    proofs = [fault.undo_proven_ns for fault in faults if fault.undo_proven_ns is not None]
    if len(undoings) < len(faults) or len(proofs) < len(faults):
        return None
    if again.at_ns >= max(undoings):
        return again
    t4_ns = max(proofs)
    return Bracket(at_ns=t4_ns, low_ns=t4_ns, high_ns=t4_ns + operations.spacing_ns)
