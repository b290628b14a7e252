"""Delays that are drawn from a distribution: median and spread are those that were asked for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gameday.api.environment import Environment, Features
from gameday.api.fault import Fault, Proof
from gameday.faults.network import Latency
from gameday.model.clock import MILLISECOND

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

FAULTS: list[Latency] = [
    Latency(
        target="relay -> redis",
        delay_ns=90 * MILLISECOND,
        jitter_ns=30 * MILLISECOND,
        distribution="normal",
    ),
    Latency(
        target="relay -> redis",
        delay_ns=40 * MILLISECOND,
        jitter_ns=20 * MILLISECOND,
        distribution="pareto",
        stream="downstream",
    ),
]
every = pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.distribution}-{f.stream}")


@pytest.fixture(scope="module")
def features() -> Features:
    """Toxiproxy knows one distribution only."""
    return Features(own_proxy=True)


@every
def test_delays_are_those_of_the_distribution(through: Through, fault: Latency) -> None:
    effect, undone = through(fault)
    assert effect.measured["samples"] in range(390, 401)
    assert undone.measured["toxics_left"] == "none"


@every
def test_delays_that_are_uniform_do_not_pass_for_others(
    environment: Environment, fault: Latency
) -> None:
    """Injected is what a proxy does that does not mind the distribution."""
    uniform = replace(fault, distribution="uniform").on(environment)
    asked = fault.on(environment)
    try:
        uniform.inject()
        assert not asked.prove(lambda: None).proven
    finally:
        uniform.undo()
    assert uniform.prove_healed(lambda: None).proven


@every
def test_what_delays_nothing_is_not_proven(unproven: Unproven, fault: Latency) -> None:
    unproven(fault)
