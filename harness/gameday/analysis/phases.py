"""The recovery of a run as findings, each with the bounds that its two ends allow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gameday.analysis.operations import Operations
from gameday.analysis.recovery import Bracket, Outage, Recovery, estimate
from gameday.model.clock import SECOND
from gameday.model.finding import Finding
from gameday.model.history import FaultTimes, Observation
from gameday.model.result import Marks, OutageSpan
from gameday.model.units import Unit, format_duration

__all__ = [
    "PHASES",
    "FaultSpan",
    "Measured",
    "Phases",
    "marks",
    "phases",
    "unmeasured_phases",
]

PHASES = (
    "detect",
    "outage",
    "outage_total",
    "recovery",
    "recovery_after_heal",
    "stabilise",
    "failover",
)
_LISTED = 10
_ALL = 0.999
"""An outage in which no smaller share than this failed is a whole one."""
_LATE_NS = SECOND // 2
"""Answers that are later than this make a picture of due times look wrong to a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """The moments t0, t1, t3 and t4 of all faults of a run, as brackets; absolute ns.

    t0 and t1 are the first fault's; t3 and t4 the last one's, and None when one was not undone.
    """

    injected: Bracket
    proven_ns: int | None
    undone: Bracket | None
    undo_proven_ns: int | None

    @classmethod
    def of(cls, faults: Sequence[FaultTimes]) -> "FaultSpan | None":
        """Return what the faults span together; None of none."""
        if not faults:
            return None
        first = min(faults, key=lambda fault: fault.injected.start_ns)
        undoings = [fault.undone for fault in faults if fault.undone is not None]
        proofs = [fault.undo_proven_ns for fault in faults if fault.undo_proven_ns is not None]
        undone = None
        if len(undoings) == len(faults):
            last = max(undoings, key=lambda window: window.start_ns)
            undone = Bracket(at_ns=last.start_ns, low_ns=last.start_ns, high_ns=last.end_ns)
        return cls(
            injected=Bracket(
                at_ns=first.injected.start_ns,
                low_ns=first.injected.start_ns,
                high_ns=first.injected.end_ns,
            ),
            proven_ns=first.proven_ns,
            undone=undone,
            undo_proven_ns=max(proofs) if len(proofs) == len(faults) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """The parts of a recovery, with its milestones and every outage."""

    findings: tuple[Finding, ...]
    marks: Marks
    outages: tuple[OutageSpan, ...] = ()


def phases(observation: Observation, operations: Operations) -> Phases:
    """Return detect, outage, recovery, recovery_after_heal, stabilise and failover, with marks."""
    span = FaultSpan.of(observation.faults)
    end_ns = observation.load.end_ns
    found = estimate(operations, observation.faults, observation.steady, end_ns)
    if span is None:
        return Phases(findings=unmeasured_phases("no fault was injected"), marks=Marks())
    if found is None:
        why = "no operation came due after the fault was requested"
        return Phases(findings=unmeasured_phases(why), marks=marks(observation, span, None))
    say = Measured(
        operations=operations,
        found=found,
        watched_ns=end_ns - span.injected.low_ns,
        t0_ns=round(span.injected.low_ns),
    )
    findings = (
        _detect(say, span),
        *_outages(say),
        _recovery(say, span),
        _recovery_after_heal(say, span),
        _stabilise(say),
        _failover(say, span),
    )
    return Phases(
        findings=findings,
        marks=marks(observation, span, found),
        outages=tuple(_span_of(outage, observation.start_ns) for outage in found.outages),
    )


def _span_of(outage: Outage, zero_ns: int) -> OutageSpan:
    return OutageSpan(
        start_ns=round(outage.began.at_ns) - zero_ns,
        end_ns=round(outage.ended.at_ns) - zero_ns if outage.ended.came else None,
        failed=outage.failed,
        share=outage.share,
    )


def unmeasured_phases(why: str) -> tuple[Finding, ...]:
    """Return every phase as not measured, for this reason."""
    return tuple(Finding.unmeasured(name, Unit.NS, why) for name in PHASES)


def marks(observation: Observation, span: FaultSpan | None, found: Recovery | None) -> Marks:
    """Return the marks, from the start of the run."""
    zero_ns = observation.start_ns

    def mark(at: Bracket | float | None) -> int | None:
        at_ns = at.at_ns if isinstance(at, Bracket) else at
        return None if at_ns is None or math.isinf(at_ns) else round(at_ns) - zero_ns

    return Marks(
        t0=mark(span.injected) if span else None,
        t1=mark(span.proven_ns) if span else None,
        t2=mark(found.failing) if found else None,
        t3=mark(span.undone) if span else None,
        t4=mark(span.undo_proven_ns) if span else None,
        t5=mark(found.served) if found else None,
        t6=mark(found.steady) if found else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the findings of all phases have in common."""

    operations: Operations
    found: Recovery
    watched_ns: float
    t0_ns: int

    def between(self, name: str, since: Bracket, until: Bracket, evidence: str) -> Finding:
        """Return `until` − `since`, at least 0, with the bounds that both brackets allow."""
        if not until.came:
            evidence = f"{evidence}; not within the {format_duration(self.watched_ns)} watched"
        return Finding(
            name=name,
            value=max(0.0, until.at_ns - since.at_ns),
            low=max(0.0, until.low_ns - since.high_ns),
            high=max(0.0, until.high_ns - since.low_ns),
            unit=Unit.NS,
            samples=self.found.samples,
            resolution=self.operations.spacing_ns,
            evidence=evidence,
        )

    def nothing_failed(self, name: str) -> Finding:
        """Return a phase that took no time: what is shorter than the spacing goes unseen."""
        spacing_ns = self.operations.spacing_ns
        return Finding(
            name=name,
            value=0,
            low=0,
            high=spacing_ns,
            unit=Unit.NS,
            samples=self.found.samples,
            resolution=spacing_ns,
            evidence=(
                f"none of the {self.found.samples} operations due after the fault failed; "
                f"they came due {format_duration(spacing_ns)} apart"
            ),
        )


def _moment(at_ns: int) -> Bracket:
    return Bracket(at_ns=at_ns, low_ns=at_ns, high_ns=at_ns)


def _detect(say: Measured, span: FaultSpan) -> Finding:
    failing, visible_ns = say.found.failing, say.found.visible_ns
    if span.proven_ns is None:
        return Finding.unmeasured("detect", Unit.NS, "the fault's effect was not proven")
    if failing is None or visible_ns is None:
        return Finding.unmeasured("detect", Unit.NS, "no operation failed because of the fault")
    seen = replace(failing, high_ns=max(failing.high_ns, visible_ns))
    return say.between(
        "detect",
        _moment(span.proven_ns),
        seen,
        "from the proof of the fault's effect until the first operation that failed came due; "
        f"a client first knew {format_duration(visible_ns - failing.at_ns)} later",
    )


def _outages(say: Measured) -> list[Finding]:
    """Return the longest outage, and what all of them take together."""
    outages = say.found.outages
    if not outages:
        return [say.nothing_failed("outage"), say.nothing_failed("outage_total")]
    each = [
        say.between("outage", outage.began, outage.ended, _what_failed(outage))
        for outage in outages
    ]
    longest = max(each, key=lambda finding: finding.value or 0)
    listed = ""
    if len(each) > 1:
        named = [
            f"{one} from {_since_t0(say, outage)}"
            for one, outage in zip(each, outages, strict=True)
        ]
        listed = f"; the longest of {len(each)} outages: {', '.join(named[:_LISTED])}"
        listed += ", ..." if len(each) > _LISTED else ""
    total = replace(
        longest,
        name="outage_total",
        value=sum(one.value or 0 for one in each),
        low=sum(one.low or 0 for one in each),
        high=sum(one.high or 0 for one in each),
        evidence=f"the sum of {len(each)} outages; {sum(o.failed for o in outages)} operations "
        "failed in them",
    )
    longest = replace(
        longest,
        low=max(one.low or 0 for one in each),
        high=max(one.high or 0 for one in each),
        evidence=longest.evidence + listed + _by_due_time(say),
    )
    return [longest, total]


def _what_failed(outage: Outage) -> str:
    text = (
        f"{outage.failed} operations failed from the first failure until the first success after "
        "the last"
    )
    if outage.share < _ALL:
        text += f"; {outage.share:.1%} of those due failed, so its edges are less certain"
    return text


def _since_t0(say: Measured, outage: Outage) -> str:
    return f"t0 + {format_duration(max(0, round(outage.began.at_ns - say.t0_ns)))}"


def _by_due_time(say: Measured) -> str:
    """Say by which clock, where the answers came so late that a reader would see another end."""
    operations = say.operations
    lates_ns = operations.latency_ns[operations.ok & (operations.due_ns >= say.t0_ns)]
    latest_ns = int(lates_ns.max(initial=0))
    if latest_ns <= _LATE_NS:
        return ""
    return (
        f"; operations are placed by when they came due, and answers came up to "
        f"{format_duration(latest_ns)} later"
    )


def _recovery(say: Measured, span: FaultSpan) -> Finding:
    if not say.found.broken and say.found.steady.came:
        return replace(
            say.nothing_failed("recovery"),
            evidence=f"the steady state was never left: {say.found.samples} operations came due "
            "after the fault",
        )
    return say.between(
        "recovery",
        span.injected,
        say.found.steady,
        f"{say.found.bad} of {say.found.samples} operations due after the fault failed before the "
        "steady state held again",
    )


def _recovery_after_heal(say: Measured, span: FaultSpan) -> Finding:
    name, healed = "recovery_after_heal", say.found.healed
    if span.undone is None or span.undo_proven_ns is None or healed is None:
        return Finding.unmeasured(name, Unit.NS, "the fault's undo was not proven")
    # The fault was gone at some moment between the asking and the proof.
    gone = Bracket(
        at_ns=span.undo_proven_ns,
        low_ns=min(span.undone.low_ns, span.undo_proven_ns),
        high_ns=span.undo_proven_ns,
    )
    if healed.low_ns == gone.at_ns:
        return replace(say.nothing_failed(name), evidence="steady when the undo was proven")
    took = format_duration(gone.high_ns - gone.low_ns)
    return say.between(
        name,
        gone,
        healed,
        "from the proof of the undo until the steady state held again; the undo itself took "
        f"up to {took}, which counts at the high end",
    )


def _stabilise(say: Measured) -> Finding:
    served, steady = say.found.served, say.found.steady
    if not say.found.broken and steady.came:
        return say.nothing_failed("stabilise")
    if served is None:
        return Finding.unmeasured(
            "stabilise", Unit.NS, "nothing failed; the system was slow, which recovery includes"
        )
    if not served.came:
        return Finding.unmeasured("stabilise", Unit.NS, "no operation succeeded any more")
    return say.between(
        "stabilise", served, steady, "from the first success until the steady state held again"
    )


def _failover(say: Measured, span: FaultSpan) -> Finding:
    """Return the longest gap between good completions that overlaps the faults, up to t6."""
    operations, spacing_ns = say.operations, say.operations.spacing_ns
    done_ns = operations.done_ns[operations.good]
    if not done_ns.size:
        return Finding.unmeasured("failover", Unit.NS, "no operation succeeded at all")
    # What the fault did may begin after a short one is gone, and lasts until t6.
    until_ns = max(span.undone.high_ns if span.undone else math.inf, say.found.steady.high_ns)
    earlier, later = done_ns < span.injected.low_ns, done_ns >= until_ns
    last_ns = int(done_ns.max())
    edges_ns = [done_ns[earlier].max(initial=done_ns.min()), done_ns[later].min(initial=last_ns)]
    around_ns = np.sort(np.append(done_ns[~earlier & ~later], edges_ns))
    gaps_ns = np.diff(around_ns)
    longest_ns = int(gaps_ns.max(initial=0))
    before = operations.good & (operations.done_ns < span.injected.low_ns)
    latency_ns = operations.latency_ns[before]
    slowest_ns = int(latency_ns.max(initial=0))
    # The first success can come one spacing and a latency after the service is back. The last one
    # can be gone before the service is: those that were due after it were slower, and on their way.
    early_ns = slowest_ns - int(latency_ns.min(initial=slowest_ns))
    slack_ns = 2 * spacing_ns + slowest_ns + early_ns
    tail_ns = span.injected.low_ns + say.watched_ns - last_ns
    ended = bool(later.any()) or tail_ns <= max(longest_ns, slack_ns)
    seen_ns = longest_ns if ended else tail_ns
    # The answer that came last before the gap was given before it arrived, at earliest when its
    # request came due: the service may have been gone while it was under way.
    gap = int(np.argmax(gaps_ns)) if gaps_ns.size else 0
    under_way = operations.good & (operations.done_ns == around_ns[gap])
    under_way_ns = int(operations.latency_ns[under_way].max(initial=0))
    return Finding(
        name="failover",
        value=seen_ns if ended else math.inf,
        low=max(0, seen_ns - slack_ns),
        high=seen_ns + under_way_ns if ended else math.inf,
        unit=Unit.NS,
        samples=int(around_ns.size),
        resolution=spacing_ns,
        evidence=(
            "the longest time without a success while the fault was active, "
            f"{format_duration(seen_ns)}{'' if ended else ', had not ended when the load did'}"
        ),
    )
