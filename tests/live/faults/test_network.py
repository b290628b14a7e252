"""Network faults on edges: each bites as hard as asked, and is gone afterwards."""

from collections.abc import Callable

import pytest

from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    Flap,
    Latency,
    Refuse,
    Reset,
    Slice,
    SlowClose,
)
from gameday.faults.protocol import Fault, Proof
from gameday.model.clock import MILLISECOND

pytestmark = [pytest.mark.live, pytest.mark.alone]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

REDIS = "relay -> redis"
RELAY = "client -> relay"
FAULTS: list[Fault] = [
    Latency(target=REDIS, delay_ns=50 * MILLISECOND, jitter_ns=5 * MILLISECOND),
    Latency(target=REDIS, delay_ns=300 * MILLISECOND, stream="downstream"),
    Latency(target=RELAY, delay_ns=40 * MILLISECOND, stream="upstream"),
    Bandwidth(target=REDIS, rate_bytes_per_s=64_000),
    Bandwidth(target=RELAY, rate_bytes_per_s=50_000, stream="downstream"),
    Bandwidth(target=REDIS, rate_bytes_per_s=0, stream="downstream"),
    Blackhole(target=REDIS),
    Blackhole(target=RELAY, stream="downstream"),
    Refuse(target=REDIS),
    Refuse(target=RELAY),
    Reset(target=REDIS),
    Slice(target=REDIS, size_bytes=50),
    Slice(target=REDIS, size_bytes=64, variation_bytes=16, stream="upstream"),
    ByteLimit(target=REDIS, after_bytes=4_000),
    ByteLimit(target=RELAY, after_bytes=4_000, stream="upstream"),
    SlowClose(target=REDIS, delay_ns=100 * MILLISECOND),
    SlowClose(target=RELAY, delay_ns=100 * MILLISECOND, stream="both"),
    Flap(target=REDIS, down_ns=300 * MILLISECOND, up_ns=500 * MILLISECOND),
]


def name(fault: Fault) -> str:
    return f"{fault.verb} {getattr(fault, 'stream', '')} {fault.target}".replace(" ", "")


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_network_fault_bites_as_asked_and_is_undone(through: Through, fault: Fault) -> None:
    effect, undone = through(fault)
    assert undone.measured["proxy_enabled"] is True
    assert undone.measured["toxics_left"] == "none"
    assert undone.measured["toxics_of_others"] == 0
    assert effect.measured["attempts"] in (1, 2, 3)


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_what_does_nothing_to_an_edge_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)
