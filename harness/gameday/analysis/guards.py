"""The validity guards of a run: whether the measurement itself can be trusted."""

import math
from dataclasses import dataclass, replace

import numpy as np

from gameday.analysis.operations import Int64s
from gameday.analysis.signals import PublishedCounts
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.finding import Finding
from gameday.model.guard import Guard
from gameday.model.history import Observation
from gameday.model.operation import Outcome
from gameday.model.result import Window
from gameday.model.units import Unit, format_duration

__all__ = [
    "BETWEEN_BEATS_NS",
    "BETWEEN_SYNCS_NS",
    "NO_NOISE",
    "Facts",
    "facts_of",
    "failed",
    "guard_findings",
]

_LEAST_ACHIEVED = 0.99
_SEEN_NS = 5 * MILLISECOND
"""What is tried in turns, a sync or a beat, is noted if it takes longer than this."""
BETWEEN_SYNCS_NS = 50 * MILLISECOND
BETWEEN_BEATS_NS = 20 * MILLISECOND
NO_NOISE = "the noise of the host was not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the guards examine; None where it was not measured."""

    schedule_lag_ns: int | None
    """The 99th percentile of the time from due until the driver took an operation up."""
    achieved: float | None
    """The share of the offered operations that the driver got round to."""
    offered: int
    hiccup_ns: int | None
    """The longest hiccup of the host under load."""
    disk_stall_ns: int | None
    """The longest that a small block took to the disk under load."""
    proxy_stall_ns: int | None = None
    """The longest that the proxy took to answer its heartbeat under load."""


def facts_of(observation: Observation, published: PublishedCounts) -> Facts:
    """Return the facts of the publisher's stream and of the host, under load."""
    load = observation.load
    inside = slice(*np.searchsorted(published.due_ns, (load.start_ns, load.end_ns)).tolist())
    was_sent = published.sent_ns[inside] > 0
    # An operation that could not be sent still shows that the driver got round to it.
    reached = int(np.count_nonzero(was_sent | (published.outcome[inside] != Outcome.PENDING)))
    offered = math.floor(published.stream.rate_per_s * (load.end_ns - load.start_ns) / SECOND)
    noise = observation.noise
    return Facts(
        # Not sent − due: an operation also waits for a connection while the system holds them all.
        schedule_lag_ns=noise.lateness_p99_ns if noise else None,
        achieved=min(1.0, reached / offered) if offered else None,
        offered=offered,
        hiccup_ns=_longest(noise.hiccup_at_ns, noise.hiccup_ns, load) if noise else None,
        disk_stall_ns=_longest(noise.disk_at_ns, noise.disk_ns, load) if noise else None,
        proxy_stall_ns=_longest(noise.proxy_at_ns, noise.proxy_ns, load) if noise else None,
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
               "due", NO_NOISE),
        _exact("achieved", facts.achieved, Unit.RATIO, facts.offered,
               f"the driver got round to this share of {facts.offered} operations",
               "no operation was offered"),
        _exact("hiccup", facts.hiccup_ns, Unit.NS, 1,
               "the longest that a sleeper of 1 ms overslept under load", NO_NOISE),
        _in_turns("disk_stall", facts.disk_stall_ns, BETWEEN_SYNCS_NS,
                  "the longest that a small block took to the disk under load"),
        _in_turns("proxy_stall", facts.proxy_stall_ns, BETWEEN_BEATS_NS,
                  "the longest that the proxy took to answer its heartbeat under load"),
    ]  # fmt: skip


def _in_turns(name: str, longest_ns: int | None, between_ns: int, evidence: str) -> Finding:
    """Return the longest stall that a try met; one may have begun right after the try before."""
    unseen = f"between two tries {format_duration(between_ns)} more can go unseen"
    finding = _exact(name, longest_ns, Unit.NS, 1, f"{evidence}; {unseen}", NO_NOISE)
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


def failed(facts: Facts) -> tuple[Guard, ...]:
    """Return each guard that did not hold: what makes every measurement of the run doubtful.

    What noise does to a finding is held against that finding: `noise.doubts`.
    """
    if facts.achieved is None or facts.achieved >= _LEAST_ACHIEVED:
        return ()
    text = f"the load was not offered: the driver got round to {facts.achieved:.2%} of "
    wanted = f"{facts.offered} operations, wanted at least {_LEAST_ACHIEVED:.0%}"
    return (Guard(name="achieved", text=text + wanted),)
