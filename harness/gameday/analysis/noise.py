"""How much noise of the host and the harness can have changed each finding.

A stall makes a system look slower or less available than it is. So each finding that a stall can
worsen gets a second, better bound: what it would be if the system had not been held up. The marks
of a recovery are stamped by the harness, which a stall holds up as well: its phases are as unsure
to the other side. Operations that were under way during stalls get twice that time back, for an
operation waits for the stall that it comes into and for its own; a span of time gets back every
stall that lies in it. On processors that are used up, a time is divided by the number of threads
that shared each of them: a fair scheduler gives each of n threads on c processors c / n of one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from gameday.analysis.availability import availability
from gameday.analysis.guards import BETWEEN_BEATS_NS, BETWEEN_SYNCS_NS, NO_NOISE
from gameday.analysis.latency import latencies
from gameday.analysis.operations import Flags, Int64s, Operations, keeps
from gameday.analysis.phases import PHASES, phases
from gameday.analysis.probes import PROBES
from gameday.model.finding import Finding
from gameday.model.guard import Doubt
from gameday.model.history import HostNoise, Observation
from gameday.model.operation import Outcome
from gameday.model.result import Marks, Window
from gameday.model.scenario import Steady
from gameday.model.units import format_duration

__all__ = ["doubts"]

_MOST_BUSY = 0.90
_MOST_STEAL = 0.05
_SPANS = {
    "detect": ("t0", "t2"),
    "outage": ("t0", "t5"),
    "outage_total": ("t0", "t5"),
    "failover": ("t0", "t6"),
    "recovery": ("t0", "t6"),
    "recovery_after_heal": ("t3", "t6"),
    "stabilise": ("t5", "t6"),
    **dict.fromkeys(PROBES, ("t3", "t6")),
}
"""Between which marks each phase lies."""
_TIMES = (*PHASES, *PROBES)
_WAITS = 2
"""A stall costs an operation its time once for its own wait, and once for those before it."""


_AFTER = 2
"""For so many times its length, what a long stall set off is put down to it."""


def doubts(
    observation: Observation,
    findings: Mapping[str, Finding],
    views: Mapping[str, Operations],
    moments: Marks,
    added: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> Mapping[str, Doubt]:
    """Return for each finding by name what noise leaves open of it, where it leaves anything.

    `views` has the operations that the findings rest on: "publish_availability" by what the
    publisher saw, and "availability" from end to end, or neither. `added` says of each time that an
    extension finds which marks it lies between.
    """
    noise = observation.noise
    spans = {**_SPANS, **added}
    if noise is None:
        return {
            name: Doubt(low=-math.inf, high=math.inf, why=NO_NOISE)
            for name, finding in findings.items()
            if _hangs_on_time(finding) or finding.name in added
        }
    stalls = _Stalls.of(noise, observation.load)
    stretch, used_up = _stretch(noise)
    better: dict[str, Finding] = {}
    for name, operations in views.items():
        spared = _spared(operations, stalls, stretch, observation.steady)
        better[name] = availability(name, spared, served="served")
        if name == "availability":
            better |= {finding.name: finding for finding in latencies(spared)}
            recovered = phases(observation, spared).findings
            better |= {finding.name: finding for finding in recovered}
    open_: dict[str, Doubt] = {}
    for name, finding in findings.items():
        if not (_hangs_on_time(finding) or name in added):
            continue
        if finding.low is None or finding.high is None:
            continue
        other = better.get(name, finding)
        if math.inf == finding.value == other.value:  # noise ends, and this did not
            continue
        low = min(finding.low, finding.low if other.low is None else other.low)
        high = max(finding.high, finding.high if other.high is None else other.high)
        if name in spans:
            stood_ns = stalls.within(*_span(spans[name], moments, observation))
            low, high = max(0.0, low - stood_ns) / stretch, (high + stood_ns) * stretch
        if low < finding.low or high > finding.high:
            open_[name] = Doubt(low=low, high=high, why="; ".join((*stalls.named, *used_up)))
    return open_


def _span(between: tuple[str, str], moments: Marks, observation: Observation) -> tuple[int, int]:
    """Return between which moments a phase lies, absolute: from t0 to the end, where unknown."""
    begins, ends = between
    begin_ns, end_ns = getattr(moments, begins), getattr(moments, ends)
    load, zero_ns = observation.load, observation.start_ns
    first_ns = load.start_ns if moments.t0 is None else zero_ns + moments.t0
    return (
        first_ns if begin_ns is None else zero_ns + begin_ns,
        load.end_ns if end_ns is None else zero_ns + end_ns,
    )


def _hangs_on_time(finding: Finding) -> bool:
    """Tell whether a stall can worsen it: how long and how available, not how many."""
    return finding.name in (*_TIMES, "p50", "p99") or "availability" in finding.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stalls:
    """The spans in which part of the host or the harness stalled, merged and in order."""

    starts_ns: Int64s
    ends_ns: Int64s
    before_ns: Int64s
    """How long they had lasted together before each of them, and in all."""
    named: tuple[str, ...]

    @classmethod
    def of(cls, noise: HostNoise, load: Window) -> "_Stalls":
        """Return all stalls that lie under load, if only in part.

        What is tried in turns may have stood still before the try: it counts as long again, at
        most the time between two tries.
        """
        kinds = (
            ("the host stalled for up to", noise.hiccup_at_ns, noise.hiccup_ns, 0),
            ("the load driver was late by up to", noise.late_at_ns, noise.late_ns, 0),
            ("the disk stalled for up to", noise.disk_at_ns, noise.disk_ns, BETWEEN_SYNCS_NS),
            ("the proxy stalled for up to", noise.proxy_at_ns, noise.proxy_ns, BETWEEN_BEATS_NS),
        )
        spans: list[tuple[Int64s, Int64s]] = []
        named = []
        for words, at_ns, took_ns, between_ns in kinds:
            inside = (at_ns > load.start_ns) & (at_ns - took_ns < load.end_ns)
            ended_ns, lasted_ns = at_ns[inside], took_ns[inside]
            if ended_ns.size:
                named.append(f"{words} {format_duration(int(lasted_ns.max()))}")
            unseen_ns = np.minimum(lasted_ns, between_ns)
            spans.append((ended_ns - lasted_ns - unseen_ns, ended_ns))
        starts_ns = np.concatenate([start for start, _ in spans])
        order = np.argsort(starts_ns, kind="stable")
        starts_ns = starts_ns[order]
        ends_ns = np.maximum.accumulate(np.concatenate([end for _, end in spans])[order])
        apart = np.flatnonzero(starts_ns[1:] > ends_ns[:-1])
        if starts_ns.size:
            starts_ns = starts_ns[np.append(0, apart + 1)]
            ends_ns = ends_ns[np.append(apart, ends_ns.size - 1)]
        before_ns = np.append(np.int64(0), np.cumsum(ends_ns - starts_ns))
        return cls(starts_ns=starts_ns, ends_ns=ends_ns, before_ns=before_ns, named=tuple(named))

    def until(self, at_ns: Int64s) -> Int64s:
        """Return for each moment how long stalls had lasted by then, together."""
        if not self.starts_ns.size:
            return np.zeros_like(at_ns)
        which = np.searchsorted(self.starts_ns, at_ns, "right") - 1
        some = np.maximum(which, 0)
        own = np.clip(at_ns - self.starts_ns[some], 0, self.ends_ns[some] - self.starts_ns[some])
        return np.where(which >= 0, self.before_ns[some] + own, 0)

    def set_off(self, due_ns: Int64s, steady: Steady) -> Flags:
        """Tell what came due in a stall that breaks the steady state by itself, or soon after."""
        lasted_ns = self.ends_ns - self.starts_ns
        long = ~keeps(steady.p99, _WAITS * lasted_ns)
        starts_ns, ends_ns = self.starts_ns[long], (self.ends_ns + _AFTER * lasted_ns)[long]
        begun = np.searchsorted(starts_ns, due_ns, "right")
        latest_ns = np.append(np.int64(0), np.maximum.accumulate(ends_ns))
        return np.asarray(due_ns < latest_ns[begun], np.bool_)

    def within(self, start_ns: float, end_ns: float) -> int:
        """Return how long stalls lasted together in a span."""
        edges = self.until(np.array([round(start_ns), round(end_ns)], np.int64))
        return int(edges[1] - edges[0])


def _spared(operations: Operations, stalls: _Stalls, stretch: float, steady: Steady) -> Operations:
    """Return the operations as they may have gone on a host that never stalled or was crowded.

    What was served is served sooner. What got nothing by its deadline is served where the stalls
    alone can have kept it from an answer that keeps the steady state's p99, and what got an error
    where stalls held it up by that much. So is what failed or was slow behind such a stall, for
    twice as long as that: clients that try again after doubling waits are back by then. What was
    acknowledged and never delivered stays so.
    """
    due_ns = operations.due_ns
    silent = operations.unanswered
    ended_ns = np.where(
        silent | (operations.done_ns == 0), due_ns + operations.deadline_ns, operations.done_ns
    )
    held_ns = _WAITS * (stalls.until(ended_ns) - stalls.until(due_ns))
    set_off = stalls.set_off(due_ns, steady)
    if stretch == 1 and not held_ns.any() and not set_off.any():
        return operations
    took_ns = (np.maximum(ended_ns - due_ns - held_ns, 0) / stretch).astype(np.int64)
    took_ns[set_off] = 0
    never = (
        np.equal(operations.done_ns, 0)
        & ~operations.ok
        & np.equal(operations.outcome, Outcome.FAILED)
    )
    swift = keeps(steady.p99, took_ns)
    error = ~operations.ok & ~silent
    excused = (silent & swift & ~never) | (error & (set_off | ~keeps(steady.p99, held_ns)))
    ok = operations.ok | excused
    return replace(
        operations,
        done_ns=np.where(ok, due_ns + took_ns, operations.done_ns),
        outcome=np.where(excused, np.uint8(Outcome.OK), operations.outcome),
        good=ok & (took_ns <= operations.deadline_ns),
    )


def _stretch(noise: HostNoise) -> tuple[float, tuple[str, ...]]:
    """Return by how much used-up processors can have stretched a time, and the words for it."""
    stretch, named = 1.0, []
    if noise.busy > _MOST_BUSY:
        stretch *= max(1.0, noise.crowding)
        named.append(
            f"{noise.busy:.0%} of the processors' time was used, with {noise.crowding:.1f} threads "
            "for each"
        )
    if noise.steal > _MOST_STEAL:
        stretch *= 1 / max(1 - noise.steal, _MOST_STEAL)
        named.append(f"the hypervisor took {noise.steal:.0%} of the processors' time")
    return stretch, tuple(named)
