"""Delays of a distribution: proven by their quantiles, as what passes the edge shows them."""

import pytest

from gameday.api.fault import Fault, Injection, Proof
from gameday.faults.network import Latency
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.edges import EdgedEnvironment, MemoryEdge

EDGE = "app -> db"


def put(fault: Fault, environment: EdgedEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(lambda: None)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(lambda: None)


SHAPED: list[Latency] = [
    Latency(target=EDGE, delay_ns=90 * MILLISECOND, jitter_ns=30 * MILLISECOND, distribution=shape)
    for shape in ("normal", "pareto")
] + [
    Latency(
        target=EDGE,
        delay_ns=60 * MILLISECOND,
        jitter_ns=20 * MILLISECOND,
        distribution=shape,
        stream="upstream",
    )
    for shape in ("normal", "pareto")
]
shaped = pytest.mark.parametrize("fault", SHAPED, ids=lambda f: f"{f.distribution}-{f.stream}")


@shaped
def test_delays_of_the_distribution_asked_for_are_proven_and_undone(
    edged: EdgedEnvironment, edge: MemoryEdge, fault: Latency
) -> None:
    made, effect = put(fault, edged)
    assert effect.proven, effect.measured
    assert healed(made).proven
    assert edge.quiet


@shaped
@pytest.mark.parametrize("drawn", ["uniform", "normal", "pareto"])
def test_delays_of_another_distribution_are_not_proven(
    edged: EdgedEnvironment, edge: MemoryEdge, fault: Latency, drawn: str
) -> None:
    edge.drawn = drawn
    effect = put(fault, edged)[1]
    assert effect.proven is (drawn == fault.distribution), effect.measured


@shaped
@pytest.mark.parametrize("share", [0.6, 1.4])
def test_delays_of_another_size_are_not_proven(
    edged: EdgedEnvironment, edge: MemoryEdge, fault: Latency, share: float
) -> None:
    edge.does = share
    assert not put(fault, edged)[1].proven


@shaped
def test_without_delays_no_distribution_is_proven(
    edged: EdgedEnvironment, edge: MemoryEdge, fault: Latency
) -> None:
    made, effect = put(Noop(fault=fault), edged)
    assert not effect.proven
    assert healed(made).proven
    edge.works = False
    assert not put(fault, edged)[1].proven


def test_only_a_distribution_of_its_own_needs_gamedays_own_proxy() -> None:
    assert SHAPED[0].requirements("docker").features.own_proxy
    assert not Latency(target=EDGE, delay_ns=SECOND).requirements("docker").features.own_proxy


@pytest.mark.parametrize(
    ("delay_ms", "jitter_ms", "told"),
    [
        (100, 10, "^jitter: wanted at least 20 ms to measure distribution normal$"),
        (300, 30, "^delay: wanted at most 250 ms to measure distribution normal$"),
        (100, 40, "^jitter: wanted at most a third of the delay"),
    ],
)
def test_a_distribution_that_could_not_be_measured_is_refused(
    delay_ms: int, jitter_ms: int, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Latency(
            target=EDGE,
            delay_ns=delay_ms * MILLISECOND,
            jitter_ns=jitter_ms * MILLISECOND,
            distribution="normal",
        )
