"""Faults on one direction of an edge: the right one is proven, and the other one is not."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from gameday.api.edge import Stream
from gameday.api.environment import Environment, Features
from gameday.api.fault import Fault, Proof
from gameday.edge.connections import ControlledEdge
from gameday.engine.planning import vocabulary
from gameday.faults import timing
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    HalfOpen,
    Latency,
    Slice,
    SlowClose,
)
from gameday.loading import load_target
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import Edge, Target
from gameday.resources import bundled

pytestmark = pytest.mark.live

Through = Callable[[Fault], tuple[Proof, Proof]]

REDIS = "relay -> redis"
RELAY = "client -> relay"
POSTGRES = "client -> postgres"
RABBITMQ = "client -> rabbitmq"
STREAMS: tuple[Stream, ...] = ("upstream", "downstream")


def held(stream: Stream) -> list[Fault]:
    """Return the faults that look the same in either direction from the client's side."""
    return [
        Latency(target=REDIS, delay_ns=10 * MILLISECOND, stream=stream),
        Latency(target=RELAY, delay_ns=300 * MILLISECOND, stream=stream),
        Latency(target=RELAY, delay_ns=40 * MILLISECOND, jitter_ns=40 * MILLISECOND, stream=stream),
        Latency(target=POSTGRES, delay_ns=40 * MILLISECOND, stream=stream),
        Latency(target=RABBITMQ, delay_ns=40 * MILLISECOND, stream=stream),
        Blackhole(target=RELAY, stream=stream),
        Blackhole(target=REDIS, stream=stream),
        Blackhole(target=POSTGRES, stream=stream),
        Blackhole(target=RABBITMQ, stream=stream),
        Bandwidth(target=REDIS, rate_bytes_per_s=0, stream=stream),
        Bandwidth(target=RELAY, rate_bytes_per_s=0, stream=stream),
        Bandwidth(target=POSTGRES, rate_bytes_per_s=0, stream=stream),
        Bandwidth(target=RABBITMQ, rate_bytes_per_s=0, stream=stream),
        SlowClose(target=REDIS, delay_ns=10 * MILLISECOND, stream=stream),
        SlowClose(target=RELAY, delay_ns=100 * MILLISECOND, stream=stream),
        SlowClose(target=POSTGRES, delay_ns=100 * MILLISECOND, stream=stream),
        SlowClose(target=RABBITMQ, delay_ns=100 * MILLISECOND, stream=stream),
    ]


def sized(stream: Stream) -> list[Fault]:
    """Return the faults of which a measurement in their direction has always been a part."""
    return [
        Bandwidth(target=REDIS, rate_bytes_per_s=50_000, stream=stream),
        HalfOpen(target=REDIS, stream=stream),
        HalfOpen(target=RABBITMQ, stream=stream),
        Slice(target=REDIS, size_bytes=50, stream=stream),
        ByteLimit(target=REDIS, after_bytes=4_000, stream=stream),
        ByteLimit(target=RELAY, after_bytes=4_000, stream=stream),
        ByteLimit(target=POSTGRES, after_bytes=4_000, stream=stream),
        ByteLimit(target=RABBITMQ, after_bytes=4_000, stream=stream),
    ]


HELD = [fault for stream in STREAMS for fault in held(stream)]
SIZED = [fault for stream in STREAMS for fault in sized(stream)]


def name(fault: Fault) -> str:
    verb = "stall" if getattr(fault, "rate_bytes_per_s", 1) == 0 else fault.verb
    jitter = "jitter" if getattr(fault, "jitter_ns", 0) else ""
    return f"{verb}-{getattr(fault, 'stream', '')}-{fault.target.split()[-1]}{jitter}"


@pytest.fixture(scope="module")
def system() -> Target:
    """Services of every kind: Redis and an app before it, and two stores that want a login."""
    signals, stores = (
        load_target(bundled("targets") / named / "target.yaml", vocabulary())
        for named in ("signals", "stores")
    )
    more = tuple(one for one in stores.services if one.name in ("postgres", "rabbitmq"))
    return replace(signals, services=(*signals.services, *more))


@pytest.fixture(scope="module")
def features() -> Features:
    """Toxiproxy does not list its connections."""
    return Features(own_proxy=True)


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every toxic be put on the direction that was not asked for."""
    real = ControlledEdge.add

    def add(
        self: ControlledEdge,
        name: str,
        kind: str,
        stream: Stream,
        attributes: Mapping[str, int | str],
    ) -> None:
        real(self, name, kind, "downstream" if stream == "upstream" else "upstream", attributes)

    monkeypatch.setattr(ControlledEdge, "add", add)
    monkeypatch.setattr(timing, "_ATTEMPTS", 1)


@pytest.mark.sample("process-blackhole-upstream-redis", "process-slow-close-downstream-relay")
@pytest.mark.parametrize("fault", HELD, ids=name)
def test_what_is_held_in_the_direction_asked_for_is_proven(through: Through, fault: Fault) -> None:
    effect, _ = through(fault)
    assert len({"answers_reached_proxy", "upstream_ns"} & effect.measured.keys()) == 1


def played(environment: Environment, fault: Fault) -> Proof:
    """Put a fault in and take it out, and return the proof of its effect."""
    made = fault.on(environment)
    try:
        made.inject()
        effect = made.prove(lambda: None)
    finally:
        made.undo()
        undone = made.prove_healed(lambda: None)
    assert undone.proven, undone.measured
    return effect


@pytest.mark.sample("process-blackhole-upstream-redis", "process-byte-limit-downstream-relay")
@pytest.mark.parametrize("fault", [*HELD, *SIZED], ids=name)
@pytest.mark.usefixtures("crossed")
def test_the_same_in_the_other_direction_is_not_proven(
    environment: Environment, fault: Fault
) -> None:
    effect = played(environment, fault)
    assert not effect.proven, effect.measured


@pytest.mark.full
@pytest.mark.parametrize("environment", ["docker"], indirect=True)
@pytest.mark.parametrize("fault", [one for one in HELD if one.target == REDIS], ids=name)
def test_a_direction_is_proven_through_the_engines_forwarder_too(
    environment: Environment, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the engine is in a virtual machine; the relay connects once, before."""
    monkeypatch.setattr(environment, "_inside", lambda _: None)
    assert environment.edge(Edge(client="relay", service="redis")).forwarded
    effect = played(environment, fault)
    assert effect.proven, effect.measured
