"""What went around a proxy is said with the numbers of both sides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from gameday.bypass import BypassDetector
from gameday.environment.abilities.traffic import Paths, Traffic
from gameday.errors import EnvironmentRefused
from gameday.model.operation import Outcome
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.histories import HistoryBuilder
from gameday.workload.load import StreamPlan
from gameday.workload.publish import publish_request

RELAY = Edge(client="relay", service="redis")
CLIENT = Edge(client="client", service="relay")
STREAM = StreamPlan(
    name="publish", client="publish", host="127.0.0.1", port=1, rate_per_s=10, deadline_ns=1
)
HISTORY = HistoryBuilder().build().history
SERVED = int(np.count_nonzero(HISTORY.of("publish")["outcome"] == Outcome.OK))
LEAST = SERVED * len(publish_request("r", "127.0.0.1", 1)(1))


@dataclass(slots=True, kw_only=True)
class Counting(MemoryEnvironment):
    """An environment that says what passed."""

    passed: Mapping[Edge, Traffic] = field(default_factory=dict)
    ways: Paths | None = None
    silent: bool = False

    def traffic(self) -> Mapping[Edge, Traffic]:
        if self.silent:
            raise EnvironmentRefused("the proxy is gone")
        return self.passed

    def paths(self, edge: Edge) -> Paths | None:
        return self.ways


@pytest.fixture
def environment(tmp_path: Path) -> Counting:
    services = (
        ServiceSpec(name="redis", kind="redis"),
        ServiceSpec(name="relay", kind="app", needs=("redis",)),
    )
    target = Target(name="t", title="T", path=tmp_path, services=services)
    plenty = Traffic(upstream_bytes=LEAST, downstream_bytes=1)
    return Counting(target=target, clock=ManualClock(), passed=dict.fromkeys(target.edges, plenty))


def told(environment: Counting) -> tuple[str, ...]:
    detector = BypassDetector(environment, environment.target, {"relay -> redis"})
    detector.look_at_connections()
    detector.read_counters()
    return detector.sentences(HISTORY, {"client -> relay": STREAM}, "r")


def test_what_passed_is_nothing_to_tell(environment: Counting) -> None:
    environment.ways = Paths(through=3, around=0)
    assert told(environment) == ()


def test_a_connection_past_the_proxy_is_told(environment: Counting) -> None:
    environment.ways = Paths(through=3, around=1)
    (sentence,) = told(environment)
    assert sentence.startswith("1 of 4 connections of relay went to redis directly")


def test_an_edge_that_carried_nothing_is_told(environment: Counting) -> None:
    nothing = Traffic(upstream_bytes=0, downstream_bytes=5)
    environment.passed = {**environment.passed, RELAY: nothing}
    assert told(environment) == ("nothing of what relay sent passed the proxy of relay -> redis",)


def test_more_acknowledgements_than_bytes_are_told(environment: Counting) -> None:
    less = Traffic(upstream_bytes=LEAST - 1, downstream_bytes=5)
    environment.passed = {**environment.passed, CLIENT: less}
    (sentence,) = told(environment)
    assert sentence == (
        f"{SERVED} operations of publish were acknowledged, which takes at least {LEAST} bytes, "
        f"and {LEAST - 1} passed the proxy of client -> relay"
    )


def test_counters_that_cannot_be_read_are_told(environment: Counting) -> None:
    environment.silent = True
    assert told(environment) == ("what passed the proxies is not known: the proxy is gone",)
