"""Whether the measurement itself can be trusted: the validity guards of a run."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gameday.analysis.operations import Int64s
from gameday.analysis.signals import Published
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.finding import Finding
from gameday.model.guard import Guard
from gameday.model.history import Observation
from gameday.model.operation import Outcome
from gameday.model.result import Window
from gameday.model.scenario import Expectation
from gameday.model.units import Unit, format_duration

__all__ = ["Facts", "facts_of", "failed", "guard_findings"]

_LEAST_ACHIEVED = 0.99
_MOST_CPU = 0.70
_MOST_STEAL = 0.05
_MOST_BUSY = 0.90
_LAG_SHARE = 0.10
_STALL_SHARE = 0.20
_BRACKET_SHARE = 0.10
_STEADY_SHARE = 0.50
_SEEN_NS = 5 * MILLISECOND
"""What is tried in turns, a sync or a beat, is noted if it takes longer than this."""
_BETWEEN_SYNCS_NS = 50 * MILLISECOND
_BETWEEN_BEATS_NS = 20 * MILLISECOND
_NO_NOISE = "nothing watched how still the host was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the guards look at. None where nobody watched."""

    schedule_lag_ns: int | None
    """The 99th percentile of the time from due until the driver took an operation up."""
    achieved: float | None
    """The share of the offered operations that the driver got round to."""
    offered: int
    hiccup_ns: int | None
    """The longest hiccup of the host under load."""
    disk_stall_ns: int | None
    """The longest that a small block took to the disk under load."""
    driver_cpu: float | None
    busy: float | None
    steal: float | None
    bracket_ns: int
    """The widest call that put a fault in."""
    deadline_ns: int
    steady_p99_ns: float
    """The latency that the steady state allows: what delays more moves the end of a recovery."""
    proxy_stall_ns: int | None = None
    """The longest that the proxy took to answer its heartbeat under load."""


def facts_of(observation: Observation, published: Published) -> Facts:
    """Return the facts of the publisher's stream and of the host, under load."""
    load = observation.load
    inside = slice(*np.searchsorted(published.due_ns, (load.start_ns, load.end_ns)).tolist())
    was_sent = published.sent_ns[inside] > 0
    # An operation that could not be sent still shows that the driver got round to it.
    reached = int(np.count_nonzero(was_sent | (published.outcome[inside] != Outcome.PENDING)))
    offered = math.floor(published.stream.rate_per_s * (load.end_ns - load.start_ns) / SECOND)
    noise = observation.noise
    brackets = [fault.injected.end_ns - fault.injected.start_ns for fault in observation.faults]
    return Facts(
        # Not sent − due: an operation also waits for a connection while the system holds them all.
        schedule_lag_ns=noise.lateness_p99_ns if noise else None,
        achieved=min(1.0, reached / offered) if offered else None,
        offered=offered,
        hiccup_ns=_longest(noise.hiccup_at_ns, noise.hiccup_ns, load) if noise else None,
        disk_stall_ns=_longest(noise.disk_at_ns, noise.disk_ns, load) if noise else None,
        proxy_stall_ns=_longest(noise.proxy_at_ns, noise.proxy_ns, load) if noise else None,
        driver_cpu=noise.driver_cpu if noise else None,
        busy=noise.busy if noise else None,
        steal=noise.steal if noise else None,
        bracket_ns=max(brackets, default=0),
        deadline_ns=published.stream.deadline_ns,
        steady_p99_ns=observation.steady.p99.value,
    )


def _longest(ended_ns: Int64s, took_ns: Int64s, load: Window) -> int:
    """Return the longest of the spells that lie under load, if only in part; 0 of none."""
    under_load = (ended_ns > load.start_ns) & (ended_ns - took_ns < load.end_ns)
    return int(took_ns[under_load].max(initial=0))


def guard_findings(facts: Facts) -> list[Finding]:
    """Return what the guards look at as findings, so that it is in every report."""
    return [
        _exact("schedule_lag", facts.schedule_lag_ns, Unit.NS, facts.offered,
               "the load driver took up 99 % of the operations at most this long after they were "
               "due", _NO_NOISE),
        _exact("achieved", facts.achieved, Unit.RATIO, facts.offered,
               f"the driver got round to this share of {facts.offered} operations",
               "no operation was offered"),
        _exact("hiccup", facts.hiccup_ns, Unit.NS, 1,
               "the longest that a sleeper of 1 ms overslept under load", _NO_NOISE),
        _in_turns("disk_stall", facts.disk_stall_ns, _BETWEEN_SYNCS_NS,
                  "the longest that a small block took to the disk under load"),
        _in_turns("proxy_stall", facts.proxy_stall_ns, _BETWEEN_BEATS_NS,
                  "the longest that the proxy took to answer its heartbeat under load"),
    ]  # fmt: skip


def _in_turns(name: str, longest_ns: int | None, between_ns: int, evidence: str) -> Finding:
    """Return the longest stall that a try met; one may have begun right after the try before."""
    unseen = f"between two tries {format_duration(between_ns)} more can go unseen"
    finding = _exact(name, longest_ns, Unit.NS, 1, f"{evidence}; {unseen}", _NO_NOISE)
    if longest_ns is None:
        return finding
    high_ns = max(longest_ns, _SEEN_NS) + between_ns
    return replace(finding, high=high_ns, resolution=between_ns)


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


def failed(facts: Facts, expectations: Sequence[Expectation]) -> tuple[Guard, ...]:
    """Return each guard that did not hold.

    The smallest time that an expectation hangs on sets the scale: its limit, or the deadline for
    an availability. Where nothing of the kind is judged, a slow host does not matter.
    """
    scale_ns = _scale_ns(facts, expectations)
    guards = [] if scale_ns is None else [*_delays(facts, scale_ns), *_shortages(facts, scale_ns)]
    if facts.driver_cpu is not None and facts.driver_cpu > _MOST_CPU:
        text = f"the load driver used {facts.driver_cpu:.0%} of a processor"
        guards.append(_slow("driver_cpu", f"{text}, at most {_MOST_CPU:.0%} is allowed"))
    if facts.achieved is not None and facts.achieved < _LEAST_ACHIEVED:
        text = f"the load was not offered: the driver got round to {facts.achieved:.2%} of "
        wanted = f"{facts.offered} operations, wanted at least {_LEAST_ACHIEVED:.0%}"
        guards.append(_slow("achieved", text + wanted))
    return tuple(guards)


def _delays(facts: Facts, scale_ns: float) -> Iterator[Guard]:
    """Hold each time that the measuring lost against what it may lose.

    That is a share of the scale, and half of the steady state's p99 at most: an operation waits
    for the stall that it comes into and then for its own, and two halves are a slow operation.
    The call of a fault delays no operation, so only the scale counts there.
    """
    steady_ns = _STEADY_SHARE * facts.steady_p99_ns
    for name, what, seen_ns, share, slows in (
        ("schedule_lag", "the load ran late: schedule lag p99", facts.schedule_lag_ns,
         _LAG_SHARE, True),
        ("hiccup", "the host stalled: longest hiccup", facts.hiccup_ns, _STALL_SHARE, True),
        ("disk_stall", "the disk stalled: longest sync", facts.disk_stall_ns, _STALL_SHARE, True),
        ("proxy_stall", "the proxy stalled: longest answer to its heartbeat",
         facts.proxy_stall_ns, _STALL_SHARE, True),
        ("fault_call", "the fault's moment is unsure: its call took", facts.bracket_ns,
         _BRACKET_SHARE, False),
    ):  # fmt: skip
        most_ns, of_what = share * scale_ns, f"{share:.0%} of the smallest time that is judged"
        if slows and steady_ns < most_ns:
            most_ns, of_what = steady_ns, f"{_STEADY_SHARE:.0%} of the steady state's p99"
        if seen_ns is not None and seen_ns > most_ns:
            text = f"{what} {format_duration(seen_ns)}, at most {format_duration(most_ns)} is"
            yield Guard(
                name=name,
                text=f"{text} allowed: {of_what}",
                slows=slows,
                voids=name != "disk_stall",
            )


def _shortages(facts: Facts, scale_ns: float) -> Iterator[Guard]:
    """Hold what the measuring had of the host against what it needs.

    Steal is held against runs with a scale under a second only: where it hurts a longer one, the
    hiccups show it.
    """
    if facts.busy is None:
        yield _slow(
            "unwatched", f"{_NO_NOISE}, and a time of {format_duration(scale_ns)} is judged"
        )
    elif facts.busy > _MOST_BUSY:
        text = f"the host was busy: {facts.busy:.0%} of its processors' time was used"
        yield _slow("busy", f"{text}, at most {_MOST_BUSY:.0%} is allowed")
    if facts.steal is not None and facts.steal > _MOST_STEAL and scale_ns < SECOND:
        text = f"the hypervisor took {facts.steal:.0%} of a processor"
        yield _slow("steal", f"{text}, at most {_MOST_STEAL:.0%} is allowed")


def _slow(name: str, text: str) -> Guard:
    return Guard(name=name, text=text, slows=True)


def _scale_ns(facts: Facts, expectations: Sequence[Expectation]) -> float | None:
    scales = [
        expectation.limit.value
        for expectation in expectations
        if expectation.limit.unit is Unit.NS and expectation.limit.value > 0
    ]
    if any("availability" in expectation.finding for expectation in expectations):
        scales.append(facts.deadline_ns)
    return min(scales, default=None)
