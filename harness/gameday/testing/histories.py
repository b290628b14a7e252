"""Synthetic runs of which the truth is known, for tests of whatever reads an observation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gameday.model.clock import MICROSECOND, MILLISECOND, SECOND
from gameday.model.history import (
    ROW_DTYPE,
    Connections,
    Deliveries,
    FaultTimes,
    History,
    HostNoise,
    Observation,
    Rows,
)
from gameday.model.operation import Outcome, StreamInfo
from gameday.model.result import Window
from gameday.model.scenario import Steady
from gameday.model.units import parse_duration, parse_limit

__all__ = ["HistoryBuilder", "Span"]

Span = str | int
"""A duration: text such as "2s", or nanoseconds."""

_START_NS = 1000 * SECOND
"""The zero of the run on the monotonic clock: not 0, so that a forgotten offset shows."""
_ERROR = 1
_PUBLISH, _FRONT, _DIRECT = range(3)


def _ns(span: Span) -> int:
    return parse_duration(span) if isinstance(span, str) else span


def _fault_times(
    at_ns: int, until_ns: int, *, call_ns: int = MILLISECOND, proof_ns: int = 4 * MILLISECOND
) -> FaultTimes:
    start_ns, end_ns = _START_NS + at_ns, _START_NS + until_ns
    return FaultTimes(
        injected=Window(start_ns=start_ns, end_ns=start_ns + call_ns),
        proven_ns=start_ns + call_ns + proof_ns,
        undone=Window(start_ns=end_ns, end_ns=end_ns + call_ns),
        undo_proven_ns=end_ns + call_ns + proof_ns,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spell:
    """From `start_ns` to `end_ns` the service is not itself; `kind` says how."""

    kind: str
    start_ns: int
    end_ns: int
    latency_ns: int = 0
    share: float = 1

    def covers(self, at_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (at_ns >= self.start_ns) & (at_ns < self.end_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBuilder:
    """A run of signals, healthy but for what it is told; every method returns a new builder.

    All times count from the start of the load. Signals are numbered from 1 in the order in which
    they come due, one each 1 / `rate_per_s`:

        HistoryBuilder(rate_per_s=200).outage("5s", "7s").lose(12, 13).build()

    A run without a `fault` has one for each `outage`, of the same span.
    """

    rate_per_s: float = 200
    probes_per_s: float | None = None
    """On each of the two paths; None: as many as signals."""
    lasts: Span = "20s"
    deadline: Span = "1s"
    latency: Span = "2ms"
    """The usual one; each operation takes half to one and a half of it."""
    phase: Span = 0
    """When the first operation comes due."""
    success: str = ">= 99%"
    p99: str = "<= 100ms"
    hold: Span = "5s"
    seed: int = 0
    _spells: tuple[_Spell, ...] = ()
    _faults: tuple[FaultTimes, ...] = ()
    _proxy_adds_ns: int = 0
    _labelled: Mapping[str, frozenset[int]] = field(default_factory=dict)
    _swapped: tuple[tuple[int, int], ...] = ()
    _connections: Connections | None = None
    _noise_meter: tuple[tuple[int, int], ...] = ()
    _syncs: tuple[tuple[int, int], ...] = ()
    _late: tuple[tuple[int, int], ...] = ()
    _proxy_stalls: tuple[tuple[int, int], ...] = ()
    _final_read: bool = True

    def fault(self, at: Span, until: Span, *, call: Span = "1ms", proof: Span = "4ms") -> Self:
        """A fault is in from `at` to `until`; each call takes `call`, each proof `proof` more."""
        times = _fault_times(_ns(at), _ns(until), call_ns=_ns(call), proof_ns=_ns(proof))
        return replace(self, _faults=(*self._faults, times))

    def outage(self, at: Span, until: Span, *, proxy_adds: Span = 0) -> Self:
        """Everything that comes due from `at` to `until` is refused at once; probes likewise.

        What is under way at `at` is never written, and its client is not told. The direct path
        serves again `proxy_adds` before `until`.
        """
        return replace(self._with("outage", at, until), _proxy_adds_ns=_ns(proxy_adds))

    def brown_out(self, at: Span, until: Span, share: float) -> Self:
        """That share of what comes due from `at` to `until`, drawn by the seed, gets an error.

        The client cannot know whether it was written: HTTP 500. Probes do as signals do.
        """
        return self._with("brown-out", at, until, share=share)

    def timeouts(self, at: Span, until: Span) -> Self:
        """What is under way from `at` to `until` is sent, never answered and never written."""
        return self._with("timeouts", at, until)

    def slow(self, at: Span, until: Span, latency: Span) -> Self:
        """What comes due from `at` to `until` takes `latency`."""
        return self._with("slow", at, until, latency)

    def stall(self, at: Span, until: Span) -> Self:
        """What is under way from `at` to `until` is served only at `until`: a stopped process."""
        return self._with("stall", at, until)

    def receiver_away(self, at: Span, until: Span) -> Self:
        """What is published from `at` to `until` is acknowledged, and delivered at `until`."""
        return self._with("away", at, until)

    def lose(self, *signals: int) -> Self:
        """These signals are acknowledged and never delivered."""
        return self._mark("lose", signals)

    def duplicate(self, *signals: int) -> Self:
        """These signals are delivered twice."""
        return self._mark("duplicate", signals)

    def corrupt(self, *signals: int) -> Self:
        """A second, broken copy of these signals is delivered."""
        return self._mark("corrupt", signals)

    def phantom(self, *signals: int) -> Self:
        """These numbers are delivered, published or not."""
        return self._mark("phantom", signals)

    def forget(self, *signals: int) -> Self:
        """These signals are written and delivered, and the publisher gets no answer."""
        return self._mark("forget", signals)

    def refuse(self, *signals: int) -> Self:
        """These signals are delivered, and the publisher is told that they were not written."""
        return self._mark("refuse", signals)

    def leave_pending(self, *signals: int) -> Self:
        """These signals come due and are never sent."""
        return self._mark("leave", signals)

    def reorder(self, signal: int, other: int) -> Self:
        """These two signals change their places in the receiver's record."""
        return replace(self, _swapped=(*self._swapped, (signal, other)))

    def connections(self, *, lost: Mapping[str, int], restored: Mapping[str, int]) -> Self:
        """The services counted these connections."""
        return replace(self, _connections=Connections(lost=lost, restored=restored))

    def hiccup(self, at: Span, lasting: Span) -> Self:
        """The host stands still from `at` for so long."""
        return replace(self, _noise_meter=(*self._noise_meter, (_START_NS + _ns(at), _ns(lasting))))

    def disk_stall(self, at: Span, lasting: Span) -> Self:
        """The disk stands still from `at` for so long."""
        return replace(self, _syncs=(*self._syncs, (_START_NS + _ns(at), _ns(lasting))))

    def late(self, at: Span, lasting: Span) -> Self:
        """The driver takes nothing up from `at` for so long: what comes due then is late."""
        return replace(self, _late=(*self._late, (_START_NS + _ns(at), _ns(lasting))))

    def proxy_stall(self, at: Span, lasting: Span) -> Self:
        """The proxy stands still from `at` for so long."""
        return replace(
            self, _proxy_stalls=(*self._proxy_stalls, (_START_NS + _ns(at), _ns(lasting)))
        )

    def without_final_read(self) -> Self:
        """The receiver's record cannot be read."""
        return replace(self, _final_read=False)

    def signals_due(self, at: Span, until: Span) -> tuple[int, ...]:
        """Return the numbers of the signals that come due from `at` to `until`."""
        due_ns = self._due(self.rate_per_s)
        inside = (due_ns >= _START_NS + _ns(at)) & (due_ns < _START_NS + _ns(until))
        return tuple((np.flatnonzero(inside) + 1).tolist())

    def build(self) -> Observation:
        """Return the observation of such a run."""
        random = np.random.default_rng(self.seed)
        rows, deliveries = self._published(random)
        probes = [self._answered(stream, random) for stream in (_FRONT, _DIRECT)]
        every = np.concatenate((rows, *probes))
        due_ns, late_ns = self._lateness()
        outages = [spell for spell in self._spells if spell.kind == "outage"]
        faults = self._faults or tuple(
            _fault_times(spell.start_ns - _START_NS, spell.end_ns - _START_NS) for spell in outages
        )
        return Observation(
            history=History(
                rows=every[np.argsort(every["due_ns"], kind="stable")],
                streams=tuple(
                    StreamInfo(
                        index=index,
                        name=name,
                        rate_per_s=self._rate(index),
                        deadline_ns=_ns(self.deadline),
                    )
                    for index, name in enumerate(("publish", "probe-front", "probe-direct"))
                ),
                errors=("", "refused"),
            ),
            deliveries=deliveries if self._final_read else None,
            faults=faults,
            start_ns=_START_NS,
            load=Window(start_ns=_START_NS, end_ns=_START_NS + _ns(self.lasts)),
            steady=Steady(
                success=parse_limit(self.success),
                p99=parse_limit(self.p99),
                for_ns=_ns(self.hold),
            ),
            connections=self._connections,
            noise=HostNoise(
                hiccup_at_ns=np.array([sum(spell) for spell in self._noise_meter], np.int64),
                hiccup_ns=np.array([lasting for _, lasting in self._noise_meter], np.int64),
                disk_at_ns=np.array([sum(spell) for spell in self._syncs], np.int64),
                disk_ns=np.array([lasting for _, lasting in self._syncs], np.int64),
                busy=0.3,
                steal=0.0,
                cpu_pressure=None,
                io_pressure=None,
                driver_cpu=0.1,
                lateness_p99_ns=int(np.sort(late_ns)[late_ns.size * 99 // 100])
                if late_ns.size
                else 0,
                late_at_ns=(due_ns + late_ns)[late_ns > MILLISECOND],
                late_ns=late_ns[late_ns > MILLISECOND],
                proxy_at_ns=np.array([sum(spell) for spell in self._proxy_stalls], np.int64),
                proxy_ns=np.array([lasting for _, lasting in self._proxy_stalls], np.int64),
            ),
        )

    def _lateness(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return when each signal is due, and how late the driver takes it up."""
        due_ns = self._due(self.rate_per_s)
        late_ns = np.zeros_like(due_ns)
        for start_ns, lasting_ns in self._late:
            inside = (due_ns >= start_ns) & (due_ns < start_ns + lasting_ns)
            late_ns[inside] = start_ns + lasting_ns - due_ns[inside]
        return due_ns, late_ns

    def _with(
        self, kind: str, at: Span, until: Span, latency: Span = 0, *, share: float = 1
    ) -> Self:
        spell = _Spell(
            kind=kind,
            start_ns=_START_NS + _ns(at),
            end_ns=_START_NS + _ns(until),
            latency_ns=_ns(latency),
            share=share,
        )
        return replace(self, _spells=(*self._spells, spell))

    def _mark(self, what: str, signals: tuple[int, ...]) -> Self:
        already = self._labelled.get(what, frozenset())
        return replace(self, _labelled={**self._labelled, what: already | set(signals)})

    def _is(self, what: str, values: NDArray[np.uint32]) -> NDArray[np.bool_]:
        return np.isin(values, list(self._labelled.get(what, ())))

    def _rate(self, stream: int) -> float:
        probes_per_s = self.probes_per_s or self.rate_per_s
        return self.rate_per_s if stream == _PUBLISH else probes_per_s

    def _due(self, rate_per_s: float) -> NDArray[np.int64]:
        spacing_ns = SECOND / rate_per_s
        count = max(0, int(np.ceil((_ns(self.lasts) - _ns(self.phase)) / spacing_ns)))
        return _START_NS + _ns(self.phase) + (np.arange(count) * spacing_ns).astype(np.int64)

    def _answered(self, stream: int, random: np.random.Generator) -> Rows:
        """Return the rows of a stream with only the spells done to them."""
        due_ns = self._due(self._rate(stream))
        rows = np.zeros(due_ns.size, ROW_DTYPE)
        took_ns = (_ns(self.latency) * random.uniform(0.5, 1.5, due_ns.size)).astype(np.int64)
        rows["due_ns"], rows["sent_ns"] = due_ns, due_ns + 20 * MICROSECOND
        rows["done_ns"], rows["outcome"] = due_ns + took_ns, Outcome.OK
        rows["value"], rows["stream"] = np.arange(1, due_ns.size + 1), stream
        for spell in self._spells:
            hit = spell.covers(due_ns)
            caught = (due_ns < spell.start_ns) & (due_ns + took_ns >= spell.start_ns)
            match spell.kind:
                case "outage":
                    rows["outcome"][caught], rows["error"][caught] = Outcome.UNKNOWN, _ERROR
                    rows["done_ns"][caught] = spell.start_ns
                    early = self._proxy_adds_ns if stream == _DIRECT else 0
                    hit &= due_ns < spell.end_ns - early
                    rows["outcome"][hit], rows["error"][hit] = Outcome.FAILED, _ERROR
                    rows["done_ns"][hit] = due_ns[hit] + MILLISECOND
                case "brown-out":
                    hit &= random.random(due_ns.size) < spell.share
                    rows["outcome"][hit], rows["error"][hit] = Outcome.UNKNOWN, _ERROR
                    rows["done_ns"][hit] = due_ns[hit] + took_ns[hit]
                case "timeouts":
                    hit |= caught
                    rows["outcome"][hit] = Outcome.UNKNOWN
                    rows["done_ns"][hit] = due_ns[hit] + _ns(self.deadline)
                case "slow":
                    rows["done_ns"][hit] = due_ns[hit] + spell.latency_ns
                case "stall":
                    hit |= caught
                    rows["done_ns"][hit] = spell.end_ns + took_ns[hit]
        return rows

    def _published(self, random: np.random.Generator) -> tuple[Rows, Deliveries]:
        rows = self._answered(_PUBLISH, random)
        value, due_ns = rows["value"], rows["due_ns"]
        delivered = (rows["outcome"] == Outcome.OK) & ~self._is("lose", value)
        received_ns = rows["done_ns"] - _ns(self.latency) // 4
        for spell in self._spells:
            if spell.kind == "away":
                hit = spell.covers(due_ns)
                received_ns[hit] = spell.end_ns + np.arange(np.count_nonzero(hit)) * MICROSECOND
        for what, outcome in (("forget", Outcome.UNKNOWN), ("refuse", Outcome.FAILED)):
            rows["outcome"][self._is(what, value)] = outcome
        left = self._is("leave", value)
        for column in ("sent_ns", "done_ns", "outcome"):
            rows[column][left] = 0
        kept = np.flatnonzero(delivered & ~left)
        again = np.flatnonzero(self._is("duplicate", value))
        broken = np.flatnonzero(self._is("corrupt", value))
        strays = np.array(sorted(self._labelled.get("phantom", ())), np.uint32)
        values = np.concatenate((value[kept], value[again], value[broken], strays))
        end_ns = _START_NS + _ns(self.lasts)
        times = np.concatenate(
            (
                received_ns[kept],
                received_ns[again] + 3 * MILLISECOND,
                received_ns[broken] + 3 * MILLISECOND,
                np.full(strays.size, end_ns),
            )
        )
        intact = np.ones(values.size, np.bool_)
        intact[kept.size + again.size : kept.size + again.size + broken.size] = False
        order = np.argsort(times, kind="stable")
        values, times, intact = values[order], times[order], intact[order]
        for signal, other in self._swapped:
            here, there = (int(np.flatnonzero(values == number)[0]) for number in (signal, other))
            values[[here, there]] = values[[there, here]]
        return rows, Deliveries(value=values.astype(np.uint32), received_ns=times, intact=intact)
