"""The bypass detector: whether the traffic that a fault was to meet went around it."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gameday.api.environment import Environment
from gameday.api.packets import Networked
from gameday.api.traffic import Metered, Traced, Traffic
from gameday.edge.connection_sampler import ConnectionSampler
from gameday.engine.crossing import Crossing
from gameday.engine.streams import request_path_of_load
from gameday.errors import EnvironmentRefused
from gameday.load.client import LoadClient, load_client
from gameday.load.load import StreamPlan
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.history import History, Rows
from gameday.model.operation import Outcome
from gameday.model.scenario import CLIENT, Edge, FaultSpec, Scenario, Target
from gameday.model.targeting import RequestPath, breaks, pairs_of
from gameday.registry import client_of

__all__ = ["BypassDetector", "spoken"]

_READINGS = 3
"""So often the counters are read at the end of the baseline: nothing may be on its way then."""
_ON_THEIR_WAY = 5
"""So many connections may have been accepted by a proxy before, and made by it after a look."""
_REST_NS = 100 * MILLISECOND
"""How long a span without load has to be before its traffic tells anything."""

Streams = Sequence[tuple[str, StreamPlan]]
"""Each stream of the load with the edge that it takes, or the service that it goes to directly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What had passed the proxies, and the bracket of the call that told it."""

    called_ns: int
    returned_ns: int
    passed: Mapping[Edge, Traffic]


class BypassDetector:
    """Compares what clients did with what passed the proxies."""

    def __init__(
        self,
        environment: Environment,
        scenario: Scenario,
        target: Target,
        *,
        seed: int,
        clock: Clock,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._edges = {str(edge): edge for edge in target.edges}
        faults = [step.fault for step in scenario.faults]
        self._hit = [e for e in target.edges if any(self._evades(e, fault) for fault in faults)]
        self._load = scenario.workload[0].verb
        self._needed = RequestPath.of_load(target, scenario.workload[0]).edges
        self._way = request_path_of_load(scenario, target)
        self._to_be_met = [step.fault for step in scenario.faults if step.met_by == "load"]
        self._at_rest: list[_Reading] = []
        self._unknown: list[str] = []
        self._first: _Reading | None = None
        self._later: list[_Reading] = []
        self._traffic: Mapping[Edge, Traffic] = {}
        self._arrived: dict[str, frozenset[int]] = {}
        self._strangers: dict[str, int] = {}
        self._sampler: ConnectionSampler | None = None
        # What the harness's own client did is counted.
        self._inner = [edge for edge in self._hit if edge.client != CLIENT]
        if isinstance(environment, Traced):
            self._sampler = ConnectionSampler(environment, self._inner, random.Random(seed))

    def rest(self) -> None:
        """Read the counters while there is no load: when a span without one begins, and ends.

        The one before the load ends with `begin`.
        """
        reading = self._reading()
        if reading is not None:
            self._at_rest.append(reading)

    def begin(self) -> None:
        """Read the counters before the load, whose clients are connected; look from now on."""
        self._first = self._reading()
        self._arrived = self._arrivals()
        if self._sampler is not None:
            self._sampler.start()

    def end_baseline(self) -> None:
        """Read the counters again, before anything of a proof passes the proxies."""
        arrived = self._arrivals()
        for _ in range(_READINGS if self._first is not None else 0):
            reading = self._reading()
            if reading is not None:
                self._later.append(reading)
        for service, ports in arrived.items() if self._later else ():
            # Each that a proxy has accepted is followed by one from the proxy to the service.
            fronts = [edge for edge in self._edges.values() if edge.service == service]
            accepted = sum(self._since_the_first(e, self._later[0]).connections for e in fronts)
            self._strangers[service] = len(ports - self._arrived[service]) - accepted

    def stop(self) -> None:
        """Look no more."""
        if self._sampler is not None:
            self._sampler.stop()

    def read_counters(self) -> None:
        """Read what passed every proxy. Nothing can be measured through them afterwards."""
        if isinstance(self._environment, Metered):
            try:
                self._traffic = self._environment.traffic()
            except EnvironmentRefused as error:
                self._unknown.append(f"the traffic through the proxies is unknown: {error}")

    def sentences(self, history: History, streams: Streams, run: str) -> tuple[str, ...]:
        """Return what went around a proxy."""
        by_edge: dict[Edge, list[StreamPlan]] = {}
        for name, stream in streams:
            if name in self._edges:
                by_edge.setdefault(self._edges[name], []).append(stream)
        return (
            *self._unknown,
            *self._around(),
            *self._silent(history, by_edge, run),
            *self._unseen(history, by_edge, run),
            *self._unmet(history, streams, run),
        )

    def _evades(self, edge: Edge, fault: FaultSpec) -> bool:
        """Tell whether a fault breaks an edge, and spares who goes to the service directly."""
        match fault.hits:
            case "edge":
                return breaks(fault.target, edge)
            case "services":
                # Where services have networks of their own, it is these that are parted.
                apart = not isinstance(self._environment, Networked)
                return apart and breaks(fault.target, edge, pairs_of(fault))
            case "service":
                return False

    def _reading(self) -> _Reading | None:
        """Read the live counters; None where there are none."""
        if not isinstance(self._environment, Metered):
            return None
        called_ns = self._clock.now_ns()
        try:
            passed = self._environment.traffic_so_far()
        except EnvironmentRefused as error:
            self._unknown.append(f"the traffic through the proxies is unknown: {error}")
            return None
        if passed is None:
            return None
        return _Reading(called_ns=called_ns, returned_ns=self._clock.now_ns(), passed=passed)

    def _arrivals(self) -> dict[str, frozenset[int]]:
        """Look at the connections of the services at the far end of the edges that are hit."""
        found: dict[str, frozenset[int]] = {}
        if isinstance(self._environment, Traced):
            for service in {edge.service for edge in self._inner}:
                ports = self._environment.arrivals(service)
                if ports is not None:
                    found[service] = ports
        return found

    def _around(self) -> Iterator[str]:
        told = set()
        for edge, seen in self._sampler.seen.items() if self._sampler is not None else ():
            around = seen.around | seen.around_closed
            if around:
                told.add(edge.service)
                yield (
                    f"{len(around)} of {len(around) + len(seen.through)} observed connections "
                    f"from {edge.client} went directly to {edge.service}, "
                    f"bypassing the proxy of {edge}"
                )
        for service, number in self._strangers.items():
            if number > _ON_THEIR_WAY and service not in told:
                yield (
                    f"{number} connections to {service} bypassed all of its proxies between the "
                    "start of the load and the end of the baseline; their source is unknown"
                )

    def _silent(
        self, history: History, streams: Mapping[Edge, Sequence[StreamPlan]], run: str
    ) -> Iterator[str]:
        for edge in self._hit:
            traffic = self._traffic.get(edge)
            if traffic is not None and not traffic.upstream_bytes:
                yield f"no traffic from {edge.client} passed through the proxy of {edge}"
            elif edge in self._needed and edge.client != CLIENT:
                own = streams.get(edge, ())
                if any(self._is_silent(edge, r, history, own, run) for r in self._later):
                    yield (
                        f"no traffic between {edge.client} and {edge.service} passed through the "
                        f"proxy of {edge} between the start of the load and the end of the baseline"
                    )

    def _is_silent(
        self,
        edge: Edge,
        reading: _Reading,
        history: History,
        own: Sequence[StreamPlan],
        run: str,
    ) -> bool:
        """Tell whether an edge carried exactly what the harness's own probes sent and heard."""
        up = down = 0
        for stream in own:
            rows = history.of(stream.name)
            sent = rows[(rows["sent_ns"] > 0) & (rows["sent_ns"] < reading.returned_ns)]
            said = spoken(stream, sent, run)
            if said is None or len(_served(rows, reading.called_ns)) < len(sent):
                return False  # How much that was cannot be said.
            up, down = up + said[0], down + said[1]
        passed = self._since_the_first(edge, reading)
        return (passed.upstream_bytes, passed.downstream_bytes) == (up, down)

    def _unseen(
        self, history: History, streams: Mapping[Edge, Sequence[StreamPlan]], run: str
    ) -> Iterator[str]:
        """Yield the edges of which more was acknowledged than can have passed the proxy."""
        for edge, on_edge in streams.items():
            if edge in self._traffic:
                passed = self._traffic[edge].upstream_bytes
                yield from _more(history, on_edge, run, edge, passed, None)
            for reading in self._later[-1:]:
                passed = self._since_the_first(edge, reading).upstream_bytes
                yield from _more(history, on_edge, run, edge, passed, reading.called_ns)

    def _unmet(self, history: History, streams: Streams, run: str) -> Iterator[str]:
        """Yield each fault that the load was to meet, and did not by what passed the proxies."""
        load = history.of(self._load)
        for fault in self._to_be_met:
            edges = sorted(self._way.edges_to(fault), key=str)
            if not edges or any(edge.client == CLIENT for edge in edges):
                continue  # The load itself takes it, or nothing of it is declared to be measured.
            seen = [self._crossing(edge, load, history, streams, run) for edge in edges]
            if all(one is not None and not one.scales for one in seen):
                told = "; ".join(f"{e}: {one}" for e, one in zip(edges, seen, strict=True))
                yield (
                    f"no load passed through {fault.target}, so {fault.verb} affected none of it "
                    f"({told}); write 'met_by: probes' if only the harness's own probes are "
                    "meant to meet it"
                )

    def _crossing(
        self, edge: Edge, load: Rows, history: History, streams: Streams, run: str
    ) -> Crossing | None:
        """Return what passed an edge for the load's operations; None: that is not known."""
        until_ns: int | None = None
        per_s: list[float] = []
        if self._first is not None and self._later:
            reading = self._later[-1]
            passed, until_ns = self._since_the_first(edge, reading), reading.called_ns
            lasted_ns = reading.returned_ns - self._first.called_ns
            per_s = [_rate(edge, *span) for span in self._spans_at_rest()]
        elif edge in self._traffic:
            passed, lasted_ns = self._traffic[edge], 0
        else:
            return None
        left = passed.upstream_bytes + passed.downstream_bytes
        for name, stream in streams:
            if name == str(edge) and stream.name != self._load:
                left -= _said(stream, history.of(stream.name), run, until_ns, passed)
        return Crossing(
            passed_bytes=left,
            operations=len(_served(load, until_ns)),
            per_s=left * SECOND / lasted_ns if lasted_ns else 0.0,
            at_rest_per_s=per_s,
        )

    def _spans_at_rest(self) -> Iterator[tuple[_Reading, _Reading]]:
        """Yield the spans without load, before and after it, that are long enough to tell."""
        assert self._first is not None, "there is nothing live without it"
        at_rest = [*self._at_rest[:1], self._first, *self._at_rest[1:]]
        for began, ended in zip(at_rest[::2], at_rest[1::2], strict=False):
            if ended.called_ns - began.returned_ns >= _REST_NS:
                yield began, ended

    def _since_the_first(self, edge: Edge, reading: _Reading) -> Traffic:
        assert self._first is not None, "there is no later reading without it"
        before, after = self._first.passed[edge], reading.passed[edge]
        return Traffic(
            upstream_bytes=after.upstream_bytes - before.upstream_bytes,
            downstream_bytes=after.downstream_bytes - before.downstream_bytes,
            connections=after.connections - before.connections,
        )


def spoken(stream: StreamPlan, served: Rows, run: str) -> tuple[int, int] | None:
    """Return the bytes that a stream sent and heard on one connection for what it was served.

    None: its answers are not equally long.
    """
    client = _speaks(stream)
    answer = client.answer_bytes
    if answer is None:
        return None
    request = client.request(stream, run)
    return sum(len(request(int(value))) for value in served["value"]), answer * len(served)


def _said(stream: StreamPlan, rows: Rows, run: str, until_ns: int | None, passed: Traffic) -> int:
    """Return what a probe sent, and heard, of the bytes that passed; at most is all it heard."""
    sent = rows[rows["sent_ns"] > 0]
    if until_ns is not None:
        sent = sent[sent["sent_ns"] < until_ns]
    said = spoken(stream, sent, run)
    if said is not None:
        return sum(said)
    # Answers of unequal length: none of them is taken for the load's.
    request = _speaks(stream).request(stream, run)
    return sum(len(request(int(value))) for value in sent["value"]) + passed.downstream_bytes


def _rate(edge: Edge, began: _Reading, ended: _Reading) -> float:
    """Return how many bytes a second passed an edge between two readings."""
    before, after = began.passed[edge], ended.passed[edge]
    up = after.upstream_bytes - before.upstream_bytes
    down = after.downstream_bytes - before.downstream_bytes
    return (up + down) * SECOND / (ended.called_ns - began.returned_ns)


def _more(
    history: History,
    streams: Sequence[StreamPlan],
    run: str,
    edge: Edge,
    passed: int,
    until_ns: int | None,
) -> Iterator[str]:
    """Yield that more was acknowledged until then than fits into what passed, if so."""
    served = {s.name: len(_served(history.of(s.name), until_ns)) for s in streams}
    least = sum(len(_speaks(s).request(s, run)(1)) * served[s.name] for s in streams)
    if least > passed:
        when = "" if until_ns is None else " until the end of the baseline"
        yield (
            f"{sum(served.values())} operations of {' and '.join(served)} were acknowledged{when}, "
            f"which takes at least {least} bytes, "
            f"but only {passed} passed through the proxy of {edge}"
        )


def _served(rows: Rows, until_ns: int | None) -> Rows:
    """Return the rows that were acknowledged, before that moment if one is given."""
    served = rows["outcome"] == Outcome.OK
    if until_ns is not None:
        served &= rows["done_ns"] < until_ns
    acknowledged: Rows = rows[served]
    return acknowledged


def _speaks(stream: StreamPlan) -> LoadClient:
    return load_client(client_of(stream.client))
