"""Whether the measurement itself can be trusted: the validity guards of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gameday.analysis.latency import percentile
from gameday.analysis.signals import Published
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.finding import Finding
from gameday.model.history import Observation
from gameday.model.operation import Outcome
from gameday.model.scenario import Expectation
from gameday.model.units import Unit, format_duration

__all__ = ["Facts", "facts_of", "failed", "guard_findings"]

_LEAST_ACHIEVED = 0.99
_MOST_CPU = 0.70
_MOST_STEAL = 0.05
_LAG_SHARE = 0.10
_HICCUP_SHARE = 0.20
_BRACKET_SHARE = 0.10
_NO_NOISE = "nothing watched how still the host was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the guards look at. None where nobody watched."""

    schedule_lag_ns: int | None
    """The 99th percentile of sent − due."""
    achieved: float | None
    """The share of the offered operations that the driver got round to."""
    offered: int
    hiccup_ns: int | None
    """The longest hiccup of the host under load."""
    driver_cpu: float | None
    steal: float | None
    bracket_ns: int
    """The widest call that put a fault in."""
    deadline_ns: int


def facts_of(observation: Observation, published: Published) -> Facts:
    """Return the facts of the publisher's stream and of the host, under load."""
    load = observation.load
    inside = slice(*np.searchsorted(published.due_ns, (load.start_ns, load.end_ns)).tolist())
    due_ns, sent_ns = published.due_ns[inside], published.sent_ns[inside]
    was_sent = sent_ns > 0
    # An operation that could not be sent still shows that the driver got round to it.
    reached = int(np.count_nonzero(was_sent | (published.outcome[inside] != Outcome.PENDING)))
    offered = math.floor(published.stream.rate_per_s * (load.end_ns - load.start_ns) / SECOND)
    noise = observation.noise
    hiccup_ns = None
    if noise is not None:
        at_ns = noise.hiccup_at_ns
        under_load = (at_ns >= load.start_ns) & (at_ns < load.end_ns)
        hiccup_ns = int(noise.hiccup_ns[under_load].max(initial=0))
    brackets = [fault.injected.end_ns - fault.injected.start_ns for fault in observation.faults]
    return Facts(
        schedule_lag_ns=(
            percentile(sent_ns[was_sent] - due_ns[was_sent], 0.99) if was_sent.any() else None
        ),
        achieved=min(1.0, reached / offered) if offered else None,
        offered=offered,
        hiccup_ns=hiccup_ns,
        driver_cpu=noise.driver_cpu if noise else None,
        steal=noise.steal if noise else None,
        bracket_ns=max(brackets, default=0),
        deadline_ns=published.stream.deadline_ns,
    )


def guard_findings(facts: Facts) -> list[Finding]:
    """Return schedule_lag, achieved and hiccup, so that they are in every report."""
    return [
        _exact("schedule_lag", facts.schedule_lag_ns, Unit.NS, facts.offered,
               "99 % of the operations were sent at most this long after they were due",
               "no operation was sent"),
        _exact("achieved", facts.achieved, Unit.RATIO, facts.offered,
               f"the driver got round to this share of {facts.offered} operations",
               "no operation was offered"),
        _exact("hiccup", facts.hiccup_ns, Unit.NS, 1,
               "the longest that a sleeper of 1 ms overslept under load", _NO_NOISE),
    ]  # fmt: skip


def _exact(
    name: str, value: float | None, unit: Unit, samples: int, evidence: str, why_not: str
) -> Finding:
    if value is None:
        return Finding.unmeasured(name, unit, why_not)
    return Finding(
        name=name,
        value=value,
        low=value,
        high=value,
        unit=unit,
        samples=samples,
        resolution=MILLISECOND if name == "hiccup" else 1 if unit is Unit.NS else 1 / samples,
        evidence=evidence,
    )


def failed(facts: Facts, expectations: Sequence[Expectation]) -> tuple[str, ...]:
    """Return one sentence for each guard that did not hold; any makes the run INCONCLUSIVE.

    The smallest time that an expectation hangs on sets the scale: its limit, or the deadline for
    an availability. Steal is held against runs with a scale under a second only: where it hurts
    a longer one, the hiccups show it.
    """
    scale_ns = _scale_ns(facts, expectations)
    problems = []
    if scale_ns is not None:
        for what, seen_ns, share in (
            ("the load ran late: schedule lag p99", facts.schedule_lag_ns, _LAG_SHARE),
            ("the host stalled: longest hiccup", facts.hiccup_ns, _HICCUP_SHARE),
            ("the fault's moment is unsure: its call took", facts.bracket_ns, _BRACKET_SHARE),
        ):
            if seen_ns is not None and seen_ns > share * scale_ns:
                problems.append(
                    f"{what} {format_duration(seen_ns)}, at most {share:.0%} of the smallest time "
                    f"that is judged is allowed: {format_duration(share * scale_ns)}"
                )
        if facts.hiccup_ns is None:
            problems.append(f"{_NO_NOISE}, and a time of {format_duration(scale_ns)} is judged")
    steal = facts.steal if scale_ns is not None and scale_ns < SECOND else None
    for what, seen, most in (
        ("the load driver used", facts.driver_cpu, _MOST_CPU),
        ("the hypervisor took", steal, _MOST_STEAL),
    ):
        if seen is not None and seen > most:
            problems.append(f"{what} {seen:.0%} of a processor, at most {most:.0%} is allowed")
    if facts.achieved is not None and facts.achieved < _LEAST_ACHIEVED:
        problems.append(
            f"the load was not offered: the driver got round to {facts.achieved:.2%} of "
            f"{facts.offered} operations, wanted at least {_LEAST_ACHIEVED:.0%}"
        )
    return tuple(problems)


def _scale_ns(facts: Facts, expectations: Sequence[Expectation]) -> float | None:
    scales = [
        expectation.limit.value
        for expectation in expectations
        if expectation.limit.unit is Unit.NS and expectation.limit.value > 0
    ]
    if any("availability" in expectation.finding for expectation in expectations):
        scales.append(facts.deadline_ns)
    return min(scales, default=None)
