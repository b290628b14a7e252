"""Network faults on edges to stores that want a login: the same faults, the same proofs."""

from collections.abc import Callable

import pytest

from gameday.api.edge import EdgeConnection, Route, Seen
from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    Flap,
    Latency,
    Refuse,
    Slice,
    SlowClose,
)
from gameday.loading import load_target
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Edge, Target
from gameday.resources import bundled

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

STORES = ("postgres", "rabbitmq")


def faults(store: str) -> list[Fault]:
    edge = f"client -> {store}"
    return [
        Latency(target=edge, delay_ns=40 * MILLISECOND),
        Bandwidth(target=edge, rate_bytes_per_s=32_000),
        Blackhole(target=edge),
        Refuse(target=edge),
        Slice(target=edge, size_bytes=50),
        ByteLimit(target=edge, after_bytes=4_000),
        ByteLimit(target=edge, after_bytes=4_000, stream="upstream"),
        SlowClose(target=edge, delay_ns=60 * MILLISECOND, stream="both"),
        Flap(target=edge, down_ns=300 * MILLISECOND, up_ns=500 * MILLISECOND),
    ]


FAULTS = [fault for store in STORES for fault in faults(store)]


def name(fault: Fault) -> str:
    return f"{fault.verb} {getattr(fault, 'stream', '')} {fault.target}".replace(" ", "")


@pytest.fixture(scope="module")
def system() -> Target:
    return load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())


def opened(environment: Environment, store: str, route: Route) -> EdgeConnection:
    return environment.edge(Edge(client="client", service=store)).open(route, SECOND)


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_network_fault_bites_behind_a_login_and_is_undone(through: Through, fault: Fault) -> None:
    effect, undone = through(fault)
    assert undone.measured["toxics_left"] == "none"
    assert effect.measured["attempts"] in (1, 2, 3)


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_what_does_nothing_behind_a_login_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("route", Route)
def test_a_line_is_open_once_it_can_be_greeted_again_and_again(
    environment: Environment, store: str, route: Route
) -> None:
    dialect = environment.edge(Edge(client="client", service=store)).dialect
    assert dialect is not None
    line = opened(environment, store, route)
    assert line.opened is Seen.ANSWERED
    for _ in range(3):
        assert line.ask(dialect.greeting, SECOND).seen is Seen.ANSWERED
    line.close()


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("verb", "seen"), [(Blackhole, Seen.SILENT), (Refuse, Seen.REFUSED)])
def test_a_login_tells_how_it_was_cut(
    environment: Environment, store: str, verb: type[Blackhole | Refuse], seen: Seen
) -> None:
    injection = verb(target=f"client -> {store}").on(environment)
    injection.inject()
    try:
        line = opened(environment, store, Route.PROXIED)
        assert line.opened is seen
        line.close()
    finally:
        injection.undo()
        injection.prove_healed(lambda: None)
