"""What went around a proxy is said with the numbers of both sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from gameday.api.environment import Endpoint
from gameday.api.packets import Datagrams, Network
from gameday.api.traffic import Paths, Traffic
from gameday.engine.bypass import BypassDetector
from gameday.engine.planning import Options, load
from gameday.errors import EnvironmentRefused
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.network import Blackhole, Partition
from gameday.load.load import StreamPlan
from gameday.model.clock import SECOND
from gameday.model.operation import Outcome
from gameday.model.scenario import Edge, FaultSpec, MetBy, Scenario, ServiceSpec, Target
from gameday.resources import bundled
from gameday.technologies.app.publish import publish_request
from gameday.technologies.rabbitmq.probe import RabbitMQCodec
from gameday.technologies.redis.probe import RedisCodec
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.histories import HistoryBuilder

RELAY = Edge(client="relay", service="redis")
ASIDE = Edge(client="aside", service="redis")
LISTENER = Edge(client="listener", service="redis")
CLIENT = Edge(client="client", service="relay")


def stream(name: str, client: str) -> StreamPlan:
    return StreamPlan(
        name=name, client=client, host="127.0.0.1", port=1, rate_per_s=10, deadline_ns=1
    )


PUBLISH = ("client -> relay", stream("publish", "publish"))
PROBE = ("relay -> redis", stream("probe-front", "redis-write"))
HISTORY = HistoryBuilder(lasts="2s").build().history
START_NS, END_NS = 1000 * SECOND, 1003 * SECOND
SERVED = int(np.count_nonzero(HISTORY.of("publish")["outcome"] == Outcome.OK))
LEAST = SERVED * len(publish_request("r", "127.0.0.1", 1)(1))
PROBES = len(HISTORY.of("probe-front"))
PROBED = sum(len(RedisCodec("probe-front").write(n, n)) for n in range(1, PROBES + 1))
BLACKHOLE = Blackhole(target="relay -> redis")
PLENTY = Traffic(upstream_bytes=10 * LEAST, downstream_bytes=10 * LEAST)
NOTHING = Traffic(upstream_bytes=0, downstream_bytes=0)
OWN = Traffic(upstream_bytes=PROBED, downstream_bytes=5 * PROBES)
SILENT = (
    "no traffic between relay and redis passed through the proxy of relay -> redis "
    "between the start of the load and the end of the baseline"
)


@dataclass(slots=True, kw_only=True)
class Counting(MemoryEnvironment):
    """An environment that says what passed."""

    before: Traffic = field(default_factory=lambda: Traffic(upstream_bytes=7, downstream_bytes=7))
    """What had passed each edge before the load."""
    passed: dict[Edge, Traffic] = field(default_factory=dict)
    """What passes each edge from then on."""
    live: bool = True
    readings: int = 0
    ways: Paths | None = None
    far: list[frozenset[int] | None] = field(default_factory=list)
    """What is connected to the service itself at one look after the other."""
    silent: bool = False
    looked_at: set[Edge] = field(default_factory=set)

    def traffic_so_far(self) -> Mapping[Edge, Traffic] | None:
        if not self.live:
            return None
        self.readings += 1
        return dict.fromkeys(self.target.edges, self.before) if self.readings == 1 else self._all()

    def traffic(self) -> Mapping[Edge, Traffic]:
        if self.silent:
            raise EnvironmentRefused("the proxy is gone")
        return self._all() if self.live else self.passed

    def paths(self, edge: Edge) -> Paths | None:
        self.looked_at.add(edge)
        return self.ways

    def arrivals(self, service: str) -> frozenset[int] | None:
        return self.far.pop(0) if self.far else None

    def _all(self) -> Mapping[Edge, Traffic]:
        return {
            edge: Traffic(
                upstream_bytes=self.before.upstream_bytes + passed.upstream_bytes,
                downstream_bytes=self.before.downstream_bytes + passed.downstream_bytes,
                connections=self.before.connections + passed.connections,
            )
            for edge, passed in self.passed.items()
        }


@dataclass(slots=True, kw_only=True)
class Apart(Counting):
    """One in which each service has a network of its own."""

    def network(self, service: str) -> Network:
        raise NotImplementedError

    def inner_proxied(self, edge: Edge) -> Endpoint:
        raise NotImplementedError

    def new_chain(self) -> str:
        raise NotImplementedError

    def send(self, datagrams: Datagrams) -> int:
        raise NotImplementedError


TARGET = Target(
    name="t",
    title="T",
    path=Path(),
    services=(
        ServiceSpec(name="redis", kind="redis"),
        ServiceSpec(name="relay", kind="app", program="p", needs=("redis",)),
        ServiceSpec(name="listener", kind="app", program="p", needs=("redis",)),
        ServiceSpec(name="aside", kind="app", program="p", needs=("redis",)),
    ),
)


@pytest.fixture
def environment() -> Counting:
    return made(Counting)


def made(kind: type[Counting]) -> Counting:
    clock = ManualClock()
    clock.sleep_ns(START_NS - clock.now_ns())
    return kind(target=TARGET, clock=clock, passed=dict.fromkeys(TARGET.edges, PLENTY))


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    options = Options(runtime="process", settings={})
    return load(bundled("scenarios") / "redis-restart.yaml", options).scenario


class Told(Protocol):
    def __call__(
        self,
        environment: Counting,
        *streams: tuple[str, StreamPlan],
        fault: FaultSpec = ...,
        until_ns: int = ...,
        met_by: MetBy = ...,
    ) -> tuple[str, ...]: ...


@pytest.fixture
def told(scenario: Scenario) -> Told:
    def tell(
        environment: Counting,
        *streams: tuple[str, StreamPlan],
        fault: FaultSpec = BLACKHOLE,
        until_ns: int = END_NS,
        met_by: MetBy = "probes",
    ) -> tuple[str, ...]:
        step = replace(scenario.faults[0], fault=fault, met_by=met_by)
        hitting = replace(scenario, faults=(step,))
        detector = BypassDetector(environment, hitting, TARGET, seed=1, clock=environment.clock)
        environment.readings = 0
        detector.begin()
        environment.clock.sleep_ns(until_ns - environment.clock.now_ns())
        detector.end_baseline()
        detector.stop()
        detector.read_counters()
        return detector.sentences(HISTORY, (PUBLISH, *streams), "r")

    return tell


def ports(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def test_what_passed_is_nothing_to_tell(environment: Counting, told: Told) -> None:
    environment.ways = Paths(through=ports(1, 2, 3))
    assert told(environment, PROBE) == ()


def test_a_connection_past_the_proxy_is_told(environment: Counting, told: Told) -> None:
    environment.ways = Paths(through=ports(1, 2, 3), around=ports(4))
    assert told(environment) == (
        (
            "1 of 4 observed connections from relay went directly to redis, "
            "bypassing the proxy of relay -> redis"
        ),
    )
    assert environment.looked_at == {RELAY}


def test_a_partition_by_proxies_hits_each_edge_between_its_sides(
    environment: Counting, told: Told
) -> None:
    environment.ways = Paths(around=ports(4))
    (sentence,) = told(environment, fault=Partition(target="redis | relay"))
    assert sentence.endswith("bypassing the proxy of relay -> redis")
    ring = Partition(target="redis, relay, aside, listener", shape="ring")
    assert [s.split()[-3:] for s in told(environment, fault=ring)] == [["aside", "->", "redis"]]


def test_who_is_parted_packet_by_packet_cannot_go_around(told: Told) -> None:
    environment = made(Apart)
    environment.ways = Paths(around=ports(4))
    assert told(environment, fault=Partition(target="redis | relay")) == ()
    assert len(told(environment)) == 1, "a fault of a proxy is evaded all the same"


def test_the_direct_way_to_a_service_that_is_hit_is_as_broken(
    environment: Counting, told: Told
) -> None:
    environment.ways = Paths(around=ports(4))
    assert told(environment, fault=Kill(target="redis")) == ()


STRANGERS = (
    "connections to redis bypassed all of its proxies between the start of the load and the end "
    "of the baseline; their source is unknown"
)


@pytest.mark.parametrize(
    ("before", "after", "accepted", "sentences"),
    [
        (range(5), range(15), {}, (f"10 {STRANGERS}",)),
        (range(5), range(15), {RELAY: 1, ASIDE: 3}, (f"6 {STRANGERS}",)),
        (range(5), range(15), {RELAY: 1, ASIDE: 4}, ()),
        (range(5), range(9, 15), {RELAY: 99}, ()),
        (range(20), range(10), {}, ()),
    ],
)
def test_more_arrivals_than_the_proxies_have_accepted_are_told(
    environment: Counting,
    told: Told,
    before: Sequence[int],
    after: Sequence[int],
    accepted: Mapping[Edge, int],
    sentences: tuple[str, ...],
) -> None:
    environment.far = [ports(*before), ports(*after)]
    for edge, number in accepted.items():
        environment.passed[edge] = replace(PLENTY, connections=number)
    assert told(environment) == sentences


def test_whose_connection_was_seen_to_go_around_is_not_told_twice(
    environment: Counting, told: Told
) -> None:
    environment.ways = Paths(around=ports(2))
    environment.far = [ports(), ports(*range(20))]
    assert len(told(environment)) == 1


def test_arrivals_that_cannot_be_held_against_live_counters_tell_nothing(
    environment: Counting, told: Told
) -> None:
    environment.live = False
    environment.far = [ports(), ports(*range(20))]
    assert told(environment) == ()


def test_an_edge_that_carried_nothing_is_told(environment: Counting, told: Told) -> None:
    environment.live = False
    environment.passed[RELAY] = Traffic(upstream_bytes=0, downstream_bytes=5)
    assert told(environment) == (
        "no traffic from relay passed through the proxy of relay -> redis",
    )


@pytest.mark.parametrize(
    ("passed", "streams", "silent"),
    [
        (NOTHING, (), True),
        (replace(NOTHING, upstream_bytes=1), (), False),
        (replace(NOTHING, downstream_bytes=1), (), False),
        (OWN, (PROBE,), True),
        (replace(OWN, upstream_bytes=PROBED + 1), (PROBE,), False),
        (replace(OWN, downstream_bytes=5 * PROBES + 1), (PROBE,), False),
        (OWN, (("relay -> redis", stream("probe-front", "rabbitmq-publish")),), False),
    ],
)
def test_an_edge_that_carried_no_more_than_its_probes_before_the_fault_is_silent(
    environment: Counting,
    told: Told,
    passed: Traffic,
    streams: Sequence[tuple[str, StreamPlan]],
    silent: bool,
) -> None:
    environment.passed[RELAY] = passed
    assert (SILENT in told(environment, *streams)) is silent


def test_what_is_under_way_leaves_it_open_how_much_the_probes_have_sent(
    environment: Counting, told: Told
) -> None:
    environment.passed[RELAY] = OWN
    rows = HISTORY.of("probe-front")
    under_way_ns = int(rows["sent_ns"][-1] + rows["done_ns"][-1]) // 2
    assert told(environment, PROBE, until_ns=under_way_ns) == ()


def test_an_edge_that_the_load_does_not_come_by_may_be_silent(
    environment: Counting, told: Told
) -> None:
    environment.passed[ASIDE] = NOTHING
    assert told(environment, fault=Blackhole(target="aside -> redis")) == ()


@pytest.mark.parametrize(("live", "when"), [(True, " until the end of the baseline"), (False, "")])
def test_more_acknowledgements_than_bytes_are_told(
    environment: Counting, told: Told, live: bool, when: str
) -> None:
    environment.live = live
    environment.passed[CLIENT] = Traffic(upstream_bytes=LEAST, downstream_bytes=5)
    assert told(environment) == ()
    environment.passed[CLIENT] = Traffic(upstream_bytes=LEAST - 1, downstream_bytes=5)
    assert told(environment) == (
        (
            f"{SERVED} operations of publish were acknowledged{when}, which takes at least "
            f"{LEAST} bytes, but only {LEAST - 1} passed through the proxy of client -> relay"
        ),
    )


def test_the_streams_of_one_edge_are_counted_together(environment: Counting, told: Told) -> None:
    environment.live = False
    environment.passed[RELAY] = Traffic(upstream_bytes=PROBED, downstream_bytes=1)
    other = ("relay -> redis", stream("probe-direct", "redis-write"))
    (sentence,) = told(environment, PROBE, other)
    assert f"{2 * PROBES} operations of probe-front and probe-direct" in sentence


AT_LEAST = SERVED * 8


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("to_redis", "met"),
    [
        ({}, False),
        ({RELAY: AT_LEAST - 1, ASIDE: 99, LISTENER: 99}, False),
        ({RELAY: AT_LEAST}, True),
        ({LISTENER: AT_LEAST}, True),
    ],
)
def test_a_service_that_the_load_was_not_seen_to_pass_was_not_met(
    environment: Counting, told: Told, live: bool, to_redis: Mapping[Edge, int], met: bool
) -> None:
    environment.live = live
    for edge in (RELAY, ASIDE, LISTENER):
        passed = Traffic(upstream_bytes=to_redis.get(edge, 0), downstream_bytes=0)
        environment.passed[edge] = passed
    kill = Kill(target="redis")
    sentences = told(environment, fault=kill, met_by="load")
    assert sentences == () if met else sentences[0].startswith("no load passed through redis, so ")
    assert told(environment, fault=kill, met_by="probes") == ()


@pytest.mark.parametrize(("more", "met"), [(AT_LEAST - 1, False), (AT_LEAST, True)])
@pytest.mark.parametrize("client", ["redis-write", "rabbitmq-publish"])
def test_what_probes_say_on_an_edge_is_not_the_loads(
    environment: Counting, told: Told, client: str, more: int, met: bool
) -> None:
    probe = ("relay -> redis", stream("probe-front", client))
    request = RedisCodec("probe-front") if client == "redis-write" else RabbitMQCodec(probe[1])
    said = sum(len(request.write(n, n)) for n in range(1, PROBES + 1))
    heard = 5 * PROBES if client == "redis-write" else 10**9
    environment.passed[RELAY] = Traffic(upstream_bytes=said + more, downstream_bytes=heard)
    sentences = told(environment, probe, met_by="load")
    assert any("no load passed through" in one for one in sentences) is not met


@pytest.mark.parametrize(
    ("before", "after", "met"),
    [(1.0, 1.0, False), (0.5, 0.5, False), (1.0, 0.0, True), (0.0, 1.0, True), (0.4, 0.4, True)],
)
def test_traffic_that_is_there_without_load_is_not_the_loads(
    environment: Counting, scenario: Scenario, before: float, after: float, met: bool
) -> None:
    step = replace(scenario.faults[0], fault=Kill(target="redis"), met_by="load")
    clock = environment.clock
    detector = BypassDetector(
        environment, replace(scenario, faults=(step,)), TARGET, seed=1, clock=clock
    )
    environment.passed = dict.fromkeys(TARGET.edges, NOTHING)
    environment.readings = 1

    def pass_for_a_second(share: float) -> None:
        clock.sleep_ns(SECOND)
        bytes_now = environment.passed[RELAY].upstream_bytes + round(share * AT_LEAST)
        environment.passed[RELAY] = Traffic(upstream_bytes=bytes_now, downstream_bytes=0)

    detector.rest()
    pass_for_a_second(before)
    detector.begin()
    for _ in range(3):
        pass_for_a_second(1.0)
    detector.end_baseline()
    detector.rest()
    pass_for_a_second(after)
    detector.rest()
    detector.read_counters()
    environment.passed[CLIENT] = PLENTY
    sentences = detector.sentences(HISTORY, (PUBLISH,), "r")
    assert any("as much passed before and after the load" in one for one in sentences) is not met


@pytest.mark.parametrize("hit", ["relay", "client -> relay"])
def test_what_the_load_takes_itself_is_met(environment: Counting, told: Told, hit: str) -> None:
    environment.passed |= dict.fromkeys((RELAY, ASIDE, LISTENER), NOTHING)
    fault = Blackhole(target=hit) if "->" in hit else Kill(target=hit)
    assert told(environment, fault=fault, met_by="load") == ()


def test_counters_that_cannot_be_read_are_told(environment: Counting, told: Told) -> None:
    environment.silent = True
    assert told(environment) == ("the traffic through the proxies is unknown: the proxy is gone",)
