"""Resets reach the connections that are open, too, on an edge to a store of any kind."""

from collections.abc import Callable

import pytest

from gameday.api.edge import Route, Seen
from gameday.api.environment import Environment, Features
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.faults.network import Reset
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Edge, Target
from gameday.resources import bundled

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

every = pytest.mark.parametrize("store", ["redis", "postgres", "rabbitmq"])


@pytest.fixture(scope="module")
def system() -> Target:
    return load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())


@pytest.fixture(scope="module")
def features() -> Features:
    """Toxiproxy gives open connections an orderly end, or lets them be."""
    return Features(own_proxy=True)


@every
def test_open_and_new_connections_are_reset(through: Through, store: str) -> None:
    effect, undone = through(Reset(target=f"client -> {store}"))
    assert effect.measured["open_connection"] == Seen.RESET
    assert effect.measured["resets"] == effect.measured["connections"]
    assert undone.measured["toxics_left"] == "none"


@every
def test_what_resets_nothing_is_not_proven(unproven: Unproven, store: str) -> None:
    unproven(Reset(target=f"client -> {store}"))


@every
def test_a_login_that_is_reset_says_so(environment: Environment, store: str) -> None:
    edge = environment.edge(Edge(client="client", service=store))
    injection = Reset(target=f"client -> {store}").on(environment)
    injection.inject()
    try:
        line = edge.open(Route.PROXIED, SECOND)
        assert line.ask(b"", SECOND).seen is Seen.RESET
        line.close()
    finally:
        injection.undo()
    assert injection.prove_healed(lambda: None).proven


def test_a_reset_of_another_is_none_of_ones_own(environment: Environment) -> None:
    first, second = (Reset(target="client -> redis").on(environment) for _ in range(2))
    try:
        first.inject()
        second.inject()
        assert first.prove(lambda: None).proven
        assert not second.prove(lambda: None).proven
    finally:
        second.undo()
        first.undo()
    assert first.prove_healed(lambda: None).proven
