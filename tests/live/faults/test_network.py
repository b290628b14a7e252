"""Network faults on edges: each bites as hard as asked, and is gone afterwards."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    Flap,
    Latency,
    Partition,
    Refuse,
    Slice,
    SlowClose,
)
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND, SECOND

pytestmark = [pytest.mark.live, pytest.mark.alone]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

REDIS = "relay -> redis"
RELAY = "client -> relay"
FAULTS: list[Fault] = [
    Latency(target=REDIS, delay_ns=50 * MILLISECOND, jitter_ns=5 * MILLISECOND),
    Latency(target=REDIS, delay_ns=300 * MILLISECOND),
    Latency(target=RELAY, delay_ns=40 * MILLISECOND),
    Latency(target=RELAY, delay_ns=40 * MILLISECOND, jitter_ns=40 * MILLISECOND),
    Bandwidth(target=REDIS, rate_bytes_per_s=64_000),
    Bandwidth(target=RELAY, rate_bytes_per_s=50_000, stream="downstream"),
    Bandwidth(target=REDIS, rate_bytes_per_s=0),
    Bandwidth(target=RELAY, rate_bytes_per_s=50_000, stream="upstream"),
    Blackhole(target=REDIS),
    Blackhole(target=RELAY),
    Refuse(target=REDIS),
    Refuse(target=RELAY),
    Slice(target=REDIS, size_bytes=50),
    Slice(target=REDIS, size_bytes=64, variation_bytes=16, stream="upstream"),
    ByteLimit(target=REDIS, after_bytes=4_000),
    ByteLimit(target=RELAY, after_bytes=4_000, stream="upstream"),
    SlowClose(target=REDIS, delay_ns=100 * MILLISECOND, stream="both"),
    SlowClose(target=RELAY, delay_ns=100 * MILLISECOND, stream="both"),
    Flap(target=REDIS, down_ns=300 * MILLISECOND, up_ns=500 * MILLISECOND),
]


def name(fault: Fault) -> str:
    numbers = ("jitter_ns", "delay_ns", "rate_bytes_per_s")
    facts = (getattr(fault, "stream", ""), fault.target, *(getattr(fault, n, "") for n in numbers))
    return " ".join(str(fact) for fact in (fault.verb, *facts)).replace(" ", "")


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_network_fault_bites_as_asked_and_is_undone(through: Through, fault: Fault) -> None:
    effect, undone = through(fault)
    assert undone.measured["proxy_enabled"] is True
    assert undone.measured["toxics_left"] == "none"
    assert undone.measured["toxics_of_others"] == 0
    assert effect.measured["attempts"] in (1, 2, 3)


@pytest.mark.sample("latencybothclient->relay040000000", "refuserelay->redis")
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_what_does_nothing_to_an_edge_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.full
@pytest.mark.parametrize("share", [0.0, 2.0], ids=["none", "twice-as-much"])
def test_another_jitter_does_not_pass_for_the_one_that_was_asked_for(
    environment: Environment, share: float
) -> None:
    asked = Latency(target=REDIS, delay_ns=60 * MILLISECOND, jitter_ns=30 * MILLISECOND)
    given = replace(asked, jitter_ns=round(share * asked.jitter_ns)).on(environment)
    try:
        given.inject()
        proof = asked.on(environment).prove(lambda: None)
    finally:
        given.undo()
    assert given.prove_healed(lambda: None).proven
    assert not proof.proven, proof.measured


@pytest.mark.sample("process-blackhole")
@pytest.mark.parametrize(
    "fault",
    [Blackhole(target=REDIS), Refuse(target=REDIS), Partition(target="redis | relay")],
    ids=lambda fault: fault.verb,
)
def test_the_silence_of_another_fault_proves_none(environment: Environment, fault: Fault) -> None:
    """Both what does nothing, and what comes in when nothing can be seen of it."""
    first = fault.on(environment)
    try:
        first.inject()
        assert first.prove(lambda: None).proven
        assert not Noop(fault=fault).on(environment).prove(lambda: None).proven
        second = fault.on(environment)
        try:
            asked_ns = time.monotonic_ns()
            second.inject()
            assert time.monotonic_ns() - asked_ns < 2 * SECOND
            assert not second.prove(lambda: None).proven
        finally:
            second.undo()
    finally:
        first.undo()
    assert first.prove_healed(lambda: None).proven
