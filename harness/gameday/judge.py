"""Findings against expectations: one verdict, with the words that explain it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gameday.errors import InternalError
from gameday.model.facts import details, one_line
from gameday.model.fault_facts import seen_of
from gameday.model.finding import Finding
from gameday.model.guard import Doubt, Guard
from gameday.model.result import FaultRecord
from gameday.model.scenario import Expectation
from gameday.model.units import Limit, Unit, format_value
from gameday.model.verdict import Judgement, Verdict

__all__ = ["Judged", "judge"]

_NOTHING_BROKEN = "nothing was injected, because there was no steady state"
_SAYS_NOTHING = "the run says nothing"

_REASON_FOR = {
    Verdict.PASS: "held",
    Verdict.FAIL: "was broken",
    Verdict.INCONCLUSIVE: "could not be decided",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a run came to. `reason` alone lets a reader understand it: a sentence a line."""

    judgements: tuple[Judgement, ...]
    """One of each expectation, in their order; they stand whatever the verdict of the run is."""
    verdict: Verdict
    reason: str
    guards: tuple[str, ...] = ()
    """What was wrong with the measuring, where it changed what an expectation came to."""


def judge(
    expectations: Sequence[Expectation],
    findings: Iterable[Finding],
    *,
    faults: Sequence[FaultRecord] = (),
    guards: Sequence[Guard] = (),
    doubts: Mapping[str, Doubt] | None = None,
    unsteady: str | None = None,
    stopped: str | None = None,
    bypass: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> Judged:
    """Return the verdict on a run: the worst of what it and its expectations came to.

    `guards` are the validity guards that failed, and `doubts` what noise leaves open of a finding.
    `bypass` and `problems` are sentences: the traffic that went around a fault, and what the
    harness did wrong or left behind. `unsteady` says why there was no steady state to break; None:
    there was. `stopped` says why the faults were undone before their time.
    In a run that says nothing, or in which nothing was broken, no expectation is judged.
    """
    by_name = {finding.name: finding for finding in findings}
    invalid = [*(_unproven(fault) for fault in faults if not fault.proven), *bypass]
    why_not, instead = None, Verdict.INCONCLUSIVE
    if invalid:
        why_not, instead = _SAYS_NOTHING, Verdict.INVALID
    elif unsteady is not None:
        why_not = _NOTHING_BROKEN
    judgements = tuple(
        _not_judged(wanted, instead, why_not)
        if why_not
        else _judgement(wanted, by_name, (doubts or {}).get(wanted.finding))
        for wanted in expectations
    )
    inconclusive = [guard.text for guard in guards]
    if unsteady is not None:
        inconclusive.insert(0, f"there was no steady state before the fault: {unsteady}")
    if stopped is not None:
        inconclusive.insert(0, f"the run was stopped before its end: {stopped}")
    if not expectations:
        inconclusive.append("the scenario expects nothing, so nothing was judged")
    not_told: list[str] = []
    if why_not is None:
        not_told = _told(expectations, judgements, by_name, Verdict.INCONCLUSIVE)
    because = {
        Verdict.ERROR: [*problems, *(_not_undone(fault) for fault in faults if not fault.undone)],
        Verdict.INVALID: invalid,
        Verdict.FAIL: _told(expectations, judgements, by_name, Verdict.FAIL),
        Verdict.INCONCLUSIVE: [*inconclusive, *not_told],
    }
    verdict = Verdict.merge(kind for kind, texts in because.items() if texts)
    reason = _sentences(because[verdict]) if verdict in because else _passed(expectations, by_name)
    if verdict is Verdict.FAIL and inconclusive:
        besides = _sentences([f"Besides: {aside}" for aside in inconclusive])
        reason = f"{reason} {besides}"
    return Judged(
        judgements=judgements,
        verdict=verdict,
        reason=reason,
        guards=(
            *(guard.text for guard in guards),
            *dict.fromkeys(j.doubt for j in judgements if j.doubt),
        ),
    )


def _not_judged(expectation: Expectation, verdict: Verdict, why: str) -> Judgement:
    return _as_judgement(
        expectation, verdict=verdict, seen="not judged", margin=f"not judged: {why}"
    )


def _judgement(
    expectation: Expectation, by_name: Mapping[str, Finding], doubt: Doubt | None
) -> Judgement:
    limit = expectation.limit
    finding = by_name.get(expectation.finding)
    if finding is None or finding.value is None:
        why = "not measured" if finding is None else finding.evidence
        return _as_judgement(
            expectation, verdict=Verdict.INCONCLUSIVE, seen="not measured", margin=why
        )
    if finding.unit is not limit.unit:
        raise InternalError(
            f"{expectation.name} wants {finding.name} {limit.text}, "
            f"which is a {limit.unit}, and it is found as a {finding.unit}"
        )
    verdict, margin = _compared(limit, finding), _margin(limit, finding)
    doubtful = ""
    if doubt is not None and verdict is not Verdict.INCONCLUSIVE:
        low, high = min(doubt.low, finding.low or 0), max(doubt.high, finding.high or 0)
        if _compared(limit, replace(finding, low=low, high=high)) is not verdict:
            verdict, doubtful = Verdict.INCONCLUSIVE, doubt.why
            ends = " to ".join(format_value(end, finding.unit) for end in (low, high))
            reach = f", without which it may be {ends}" if math.isfinite(low) else ""
            margin = f"{margin}, but {doubt.why}{reach}"
    return _as_judgement(
        expectation, verdict=verdict, seen=str(finding), margin=margin, doubt=doubtful
    )


def _as_judgement(
    expectation: Expectation, *, verdict: Verdict, seen: str, margin: str, doubt: str = ""
) -> Judgement:
    limit, sla, finding = expectation.limit, expectation.sla, expectation.finding
    return Judgement(
        name=expectation.name,
        wanted=limit.text if expectation.name == finding else f"{finding} {limit.text}",
        seen=seen,
        margin=margin,
        verdict=verdict,
        sla=sla.name if sla else None,
        source=f"{sla.document}, {sla.section}" if sla else None,
        severity=sla.severity if sla else "normal",
        doubt=doubt,
    )


def _bounds(finding: Finding) -> tuple[float, float]:
    low, high = finding.low, finding.high
    if low is None or high is None or low > high:
        raise InternalError(f"the finding {finding.name} has no bounds: {low} to {high}")
    return low, high


def _compared(limit: Limit, finding: Finding) -> Verdict:
    """PASS when the whole interval keeps the limit, FAIL when no part of it does."""
    low, high = _bounds(finding)
    if limit.holds(low) and limit.holds(high):
        return Verdict.PASS
    if limit.op == "==":
        return Verdict.INCONCLUSIVE if low <= limit.value <= high else Verdict.FAIL
    return Verdict.INCONCLUSIVE if limit.holds(low) or limit.holds(high) else Verdict.FAIL


def _inside(limit: Limit, value: float) -> float:
    """Return how far inside the limit `value` is, and negative how far outside."""
    if limit.op == "==":
        return -abs(value - limit.value)
    return limit.value - value if limit.wants_less else value - limit.value


def _margin(limit: Limit, finding: Finding) -> str:
    """Say how far from the limit the bound lies that decided, with its share of the limit."""
    low, high = _bounds(finding)
    near, far = sorted((_inside(limit, low), _inside(limit, high)))
    match _compared(limit, finding):
        case Verdict.PASS:
            return "exact" if limit.op == "==" else f"{_amount(near, limit)} inside"
        case Verdict.FAIL:
            return f"{_amount(far, limit)} outside"
    if math.isinf(near):
        return (
            f"watched for {format_value(low, finding.unit)} only, "
            f"the limit is {format_value(limit.value, limit.unit)}"
        )
    ends = " to ".join(format_value(end, finding.unit) for end in (low, high))
    return f"too close to tell: the limit lies within {ends}"


def _amount(distance: float, limit: Limit) -> str:
    size = abs(distance)
    if limit.unit is Unit.RATIO:
        return f"{size * 100:.4g} %-points"
    amount = format_value(size, limit.unit)
    return f"{amount} ({size / abs(limit.value):.0%})" if limit.value else amount


def _told(
    expectations: Sequence[Expectation],
    judgements: Sequence[Judgement],
    by_name: dict[str, Finding],
    verdict: Verdict,
) -> list[str]:
    """Return one sentence for each expectation that came to `verdict`."""
    return [
        _sentence(expectation, judgement, by_name.get(expectation.finding))
        for expectation, judgement in zip(expectations, judgements, strict=True)
        if judgement.verdict is verdict
    ]


def _sentence(expectation: Expectation, judgement: Judgement, finding: Finding | None) -> str:
    head = f"{expectation.name} {_REASON_FOR[judgement.verdict]}: wanted {judgement.wanted}"
    if finding is None or finding.value is None:
        why = (
            finding.evidence if finding else f"this run has no finding called {expectation.finding}"
        )
        return f"{head}; not measured: {why}"
    return (
        f"{head}, saw {judgement.seen}, {judgement.margin}; "
        f"{finding.evidence} ({finding.samples} samples)"
    )


def _unproven(fault: FaultRecord) -> str:
    lacking = "was not proven to take effect"
    if fault.active_at_end is False:
        lacking = "took effect, but was no longer active when it was due to be undone"
    if fault.lapse:
        lacking = f"took effect but did not last: {fault.lapse}"
    head = f"{fault.fault} of {fault.target} {lacking}, so the run says nothing"
    told = f"; look at what was measured of it ({details(seen_of(fault)) or 'nothing'})"
    if fault.asked:
        told += f" beside what was asked ({details(fault.asked)})"
    met, wanted = fault.met, fault.exposure
    if met is not None and wanted is not None and met < wanted:
        told += f"; only {met} operations of the load met it, {wanted} are required"
    return head + told


def _not_undone(fault: FaultRecord) -> str:
    return f"{fault.fault} of {fault.target} was not undone"


def _sentences(texts: Sequence[str]) -> str:
    return "\n".join(f"{one_line(text)}." for text in texts)


def _passed(expectations: Sequence[Expectation], by_name: dict[str, Finding]) -> str:
    """Name the expectation that held with the least room, relative to its limit."""

    def room(expectation: Expectation) -> float:
        limit = expectation.limit
        inside = min(_inside(limit, end) for end in _bounds(by_name[expectation.finding]))
        return inside / abs(limit.value) if limit.value else math.inf

    closest = min(expectations, key=room)
    finding = by_name[closest.finding]
    kept = len(expectations)
    return (
        f"{'The one expectation' if kept == 1 else f'All {kept} expectations'} held; "
        f"the closest was {closest.name}: wanted {closest.finding} {closest.limit.text}, "
        f"saw {finding}, {_margin(closest.limit, finding)} ({finding.samples} samples)."
    )
