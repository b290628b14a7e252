"""Checks that a scenario's limits fit together: steady state, timeline, safety.

Each value is checked by itself: one that is None was already reported, and hides no other.
"""

from collections.abc import Sequence

from gameday.loading.source import Source, Where, quoted
from gameday.model.scenario import Expectation, FaultStep, Safety, Steady, Timeline, Vocabulary
from gameday.model.units import Limit, Unit, exact_duration, parse_duration

__all__ = [
    "complain_of_overlaps",
    "complain_of_safety",
    "complain_of_steady",
    "complain_of_watch",
    "length_of",
]

_WATCHED = ("recovery", "recovery_after_heal", "outage")
"""The findings that are measured for as long as `timeline.recovery` says."""


def length_of(source: Source, step: int) -> int | None:
    """Return how long a fault is to last, also of one that is wrong otherwise; None: no length."""
    where = ("faults", step, "for")
    text = source.at(where)
    if not isinstance(text, str) or source.spots[where].spoilt:
        return None
    try:
        return parse_duration(text)
    except ValueError:
        return None


def complain_of_steady(source: Source, steady: Steady) -> None:
    """Complain of limits that no steady state can be known by."""
    _fits(source, ("steady", "success"), steady.success, Unit.RATIO, (">=", ">"), ">= 99%")
    _fits(source, ("steady", "p99"), steady.p99, Unit.NS, ("<=", "<"), "<= 50ms")


def _fits(
    source: Source,
    where: Where,
    limit: Limit | None,
    unit: Unit,
    ops: tuple[str, ...],
    example: str,
) -> None:
    if limit is not None and (limit.unit != unit or limit.op not in ops):
        text = f"{quoted(limit.text)} cannot be a steady state; write it as in {example!r}"
        source.complain(where, text)


def complain_of_watch(
    source: Source, timeline: Timeline, expect: Sequence[Expectation | None]
) -> None:
    """A limit that is longer than the watch for it could not be found broken."""
    where = ("timeline", "recovery")
    watched_ns: int | None = timeline.recovery_ns
    if watched_ns is None:
        return
    spot = source.spots.get(where)
    watched = (spot and spot.text) or exact_duration(watched_ns)
    for expectation in expect:
        if expectation is None:
            continue
        limit = expectation.limit
        if (
            expectation.finding in _WATCHED
            and limit.unit == Unit.NS
            and limit.wants_less
            and watched_ns <= limit.value
        ):
            source.complain(
                where,
                f"{expectation.name} wants {limit.text}, but recovery is watched for "
                f"{watched} only: it could never fail; "
                f"write more than {exact_duration(round(limit.value))}",
            )


def complain_of_safety(source: Source, safety: Safety, steps: Sequence[FaultStep | None]) -> None:
    """Complain of faults that go further than the file itself allows."""
    services: int | None = safety.services
    longest_ns: int | None = safety.longest_ns
    if services is not None and services < 1:
        source.complain_of_invalid(("safety",), [("services", "at least 1")])
    stop = safety.stop
    if stop and (stop.success.unit != Unit.RATIO or stop.success.op not in ("<", "<=")):
        text = f"{quoted(stop.success.text)} cannot be a reason to stop; write it as in '< 5%'"
        source.complain(("safety", "stop", "success"), text)
    for i, step in enumerate(steps):
        for_ns = length_of(source, i)
        if for_ns is not None and longest_ns is not None and for_ns > longest_ns:
            source.complain(
                ("faults", i, "for"),
                f"{exact_duration(for_ns)} is longer than safety.longest, "
                f"{exact_duration(longest_ns)}",
            )
        if step is None or services is None or step.fault.hits != "service":
            continue
        hit = sorted(_hit_at(step.at_ns, steps))
        if len(hit) > max(1, services):
            source.complain(
                ("faults", i, step.fault.verb),
                f"{len(hit)} services are hit at the same time, {', '.join(hit)}; "
                f"safety.services allows {services}",
            )


def complain_of_overlaps(
    source: Source, vocabulary: Vocabulary, steps: Sequence[FaultStep | None]
) -> None:
    """Complain of faults that are in at the same time and would undo or feign each other."""
    for j, step in enumerate(steps):
        for i, other in enumerate(steps[:j]):
            if step is None or other is None or not _overlap(step, other):
                continue
            why = vocabulary.conflict(other, step)
            if why is not None:
                text = (
                    f"is active at the same time as {other.fault.verb} of {other.fault.target}, "
                    f"faults[{i}], and {why}; let one end before the other begins"
                )
                source.complain(("faults", j, step.fault.verb), text)


def _overlap(one: FaultStep, other: FaultStep) -> bool:
    return one.at_ns < other.at_ns + other.for_ns and other.at_ns < one.at_ns + one.for_ns


def _hit_at(at_ns: int, steps: Sequence[FaultStep | None]) -> set[str]:
    """Return the services on which a fault is in at that moment."""
    return {
        step.fault.target
        for step in steps
        if step and step.fault.hits == "service" and step.at_ns <= at_ns < step.at_ns + step.for_ns
    }
