"""Computes all findings of a run from its observation alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gameday.analysis import guards
from gameday.analysis.availability import availability
from gameday.analysis.connections import reconnection_success
from gameday.analysis.latency import latencies
from gameday.analysis.loss import LEDGER_FINDINGS, losses, unknown_count, unmeasured_losses
from gameday.analysis.noise import doubts
from gameday.analysis.operations import Operations
from gameday.analysis.phases import (
    PHASES,
    FaultSpan,
    Phases,
    marks,
    phases,
    unmeasured_phases,
)
from gameday.analysis.probes import PROBES, probes
from gameday.analysis.series import time_series
from gameday.analysis.signals import NO_FINAL_READ, match, published_in
from gameday.api.finding_kind import FindingKind
from gameday.escaping import one_line
from gameday.model.finding import Finding
from gameday.model.guard import Doubt, Guard
from gameday.model.history import Deliveries, Observation
from gameday.model.result import Marks, OutageSpan, TimeSeries
from gameday.model.units import Unit

__all__ = ["FINDINGS", "Analysis", "analyse", "failed_guards"]

FINDINGS: Mapping[str, Unit] = {
    **dict.fromkeys(PHASES, Unit.NS),
    **dict.fromkeys(PROBES, Unit.NS),
    "availability": Unit.RATIO,
    "publish_availability": Unit.RATIO,
    "p50": Unit.NS,
    "p99": Unit.NS,
    **LEDGER_FINDINGS,
    "unknown": Unit.COUNT,
    "reconnection_success": Unit.RATIO,
    "schedule_lag": Unit.NS,
    "achieved": Unit.RATIO,
    "hiccup": Unit.NS,
    "disk_stall": Unit.NS,
    "proxy_stall": Unit.NS,
}
"""Every finding that `analyse` returns, each in its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The findings of an observation, before expectations are considered."""

    findings: tuple[Finding, ...]
    """One of each of `FINDINGS`, then of each that extensions add; the unmeasured say why."""
    marks: Marks
    outages: tuple[OutageSpan, ...]
    series: TimeSeries
    facts: guards.Facts
    doubts: Mapping[str, Doubt]
    """What noise leaves open of a finding, by its name; nothing of the others."""

    def finding(self, name: str) -> Finding:
        """Return the finding of that name; KeyError when there is none."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)


def analyse(observation: Observation, added: Sequence[FindingKind] = ()) -> Analysis:
    """Return everything that can be found in `observation`; KeyError without a publish stream.

    `added` are the findings of extensions, which come after gameday's own.
    Without a final read nothing is known from end to end: those findings are unmeasured, and the
    series shows the publisher's view.
    """
    published = published_in(observation.history)
    acknowledged = published.operations().within(observation.load)
    facts = guards.facts_of(observation, published)
    found: list[Finding] = [
        availability("publish_availability", acknowledged, served="acknowledged"),
        reconnection_success(observation.connections),
        *probes(observation),
        *guards.guard_findings(facts),
    ]
    if observation.deliveries is None:
        ledger, shown = None, acknowledged
        why = f"{NO_FINAL_READ}: {observation.unread}" if observation.unread else NO_FINAL_READ
        split = Phases(
            findings=unmeasured_phases(why),
            marks=marks(observation, FaultSpan.of(observation.faults), None),
        )
        found += unmeasured_losses(why)
        found += [
            Finding.unmeasured(name, FINDINGS[name], why) for name in ("availability", "p50", "p99")
        ]
    else:
        ledger = match(published, observation.deliveries)
        shown = ledger.operations().within(observation.load)
        split = phases(observation, shown)
        injected = [fault.injected for fault in observation.faults]
        first = min(injected, key=lambda window: window.start_ns, default=None)
        found += [
            _delivered(shown, observation.deliveries),
            *latencies(shown),
            *losses(ledger, first),
        ]
    found += split.findings
    found.append(unknown_count(published, ledger))
    found += [_of_extension(kind, observation) for kind in added]
    by_name = {finding.name: finding for finding in found}
    views = {"publish_availability": acknowledged}
    if ledger is not None:
        views["availability"] = shown
    return Analysis(
        findings=tuple(by_name[name] for name in (*FINDINGS, *(kind.name for kind in added))),
        marks=split.marks,
        outages=split.outages,
        series=time_series(shown, observation.load, observation.start_ns),
        facts=facts,
        doubts=doubts(
            observation,
            by_name,
            views,
            split.marks,
            {kind.name: kind.between for kind in added if kind.between is not None},
        ),
    )


def _of_extension(kind: FindingKind, observation: Observation) -> Finding:
    """Return what the function of an extension finds, in its unit and under its name."""
    try:
        found = kind.find(observation)
    except Exception as error:
        # Whatever it raises, the other findings of the run stand.
        why = one_line(f"its function failed: {type(error).__name__}: {error}")
        return Finding.unmeasured(kind.name, kind.unit, why)
    if found.unit is not kind.unit:
        why = f"its function gave a {found.unit}, and it is declared as a {kind.unit}"
        return Finding.unmeasured(kind.name, kind.unit, why)
    return replace(found, name=kind.name)


def _delivered(shown: Operations, deliveries: Deliveries) -> Finding:
    """Return the availability from end to end, with what the receiver said wrongly."""
    finding = availability("availability", shown, served="acknowledged and delivered")
    if not deliveries.backdated:
        return finding
    return replace(
        finding,
        evidence=f"{finding.evidence}; {deliveries.backdated} deliveries carry a time at which a "
        "read of the record did not show them, and count from the time of that read",
    )


def failed_guards(analysis: Analysis) -> tuple[Guard, ...]:
    """Return each validity guard that did not hold."""
    return guards.failed(analysis.facts)
