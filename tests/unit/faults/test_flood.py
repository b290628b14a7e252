"""A flood of connections counts by what the service has accepted, or by whom it turns away."""

import resource

import pytest

from gameday.api.edge import Route
from gameday.api.fault import Injection, Proof
from gameday.api.mechanism import trial
from gameday.faults.network import ConnectionFlood
from gameday.model.clock import SECOND
from gameday.runtimes.mechanisms.descriptors import open_files
from gameday.testing.edges import EdgedEnvironment, MemoryEdge
from gameday.testing.is_active import is_active

EDGE = "app -> db"
FLOOD = ConnectionFlood(target=EDGE, count=40, rate_per_s=1000.0)


@pytest.fixture
def environment(edged: EdgedEnvironment, edge: MemoryEdge) -> EdgedEnvironment:
    edged.services["db"].count_accepted_connections = lambda: edge.accepted_connections
    return edged


def put(environment: EdgedEnvironment, fault: ConnectionFlood = FLOOD) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(lambda: None)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(lambda: None)


def test_as_many_as_asked_for_are_accepted_and_let_go(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, effect = put(environment)
    assert effect.proven, effect.measured
    assert effect.measured["held"] == 40
    assert effect.measured["limit"] == "not reached"
    undone = healed(made)
    assert undone.proven, undone.measured
    assert edge.accepted_connections == 0


def test_a_service_that_is_full_and_turns_others_away_proves_it(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.capacity = 30
    made, effect = put(environment)
    assert effect.proven, effect.measured
    assert effect.measured["limit"] == "turned away"
    assert int(effect.measured["held"] or 0) < 30
    assert healed(made).proven


def test_fewer_than_asked_for_prove_nothing_while_others_are_served(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.capacity = 30
    made, _ = put(environment)
    edge.capacity = 0
    effect = made.prove(lambda: None)
    assert not effect.proven
    assert effect.measured["limit"] == "served"
    assert healed(made).proven


def test_a_service_that_served_nobody_before_proves_nothing(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.capacity = 30
    others = [edge.open(Route.UPSTREAM, SECOND) for _ in range(30)]
    made, effect = put(environment)
    assert not effect.proven
    for other in others:
        other.close()
    assert healed(made).proven


@pytest.mark.parametrize("does", [0.5, 1.5])
def test_what_the_service_does_not_have_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge, does: float
) -> None:
    edge.does = does
    assert not put(environment)[1].proven


def test_connections_that_the_service_still_has_are_not_undone(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, _ = put(environment)
    edge.keeps = True
    assert not healed(made).proven
    edge.keeps = False
    assert healed(made).proven


def test_a_flood_that_is_undone_half_way_opens_nothing_more(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made = ConnectionFlood(target=EDGE, count=5000, rate_per_s=500.0).on(environment)
    made.inject()
    assert healed(made).proven
    assert edge.accepted_connections == 0


def test_a_rate_that_was_not_kept_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.clock, edge.opens_in_ns = environment.clock, SECOND // 2
    assert not put(environment)[1].proven


@pytest.mark.parametrize(
    ("count", "rate_per_s", "why"),
    [
        (9, 100.0, "count: wanted 10 to 5000"),
        (5001, 1000.0, "count: wanted 10 to 5000"),
        (10, 0.5, "rate: wanted 1/s to 1000/s"),
        (10, 1001.0, "rate: wanted 1/s to 1000/s"),
        (
            5000,
            50.0,
            "rate: wanted more: 5000 connections take 100 s, and at most 60 s",
        ),
    ],
)
def test_a_flood_out_of_bounds_is_refused(count: int, rate_per_s: float, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ConnectionFlood(target=EDGE, count=count, rate_per_s=rate_per_s)


def test_a_flood_that_this_host_has_no_room_for_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    (wanted,) = ConnectionFlood(target=EDGE, count=4000).requirements("process").mechanisms
    tried = trial(wanted)
    assert not tried.works
    assert "RLIMIT_NOFILE is 1024" in tried.seen
    assert wanted.name == "8100 open files"
    assert trial(open_files(100)).works


def test_connections_that_the_service_ends_are_not_in_any_more(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, effect = put(environment)
    assert effect.proven
    for line in edge._lines[:3]:
        line.cut()
    assert is_active(made), "the witness and two more: others come and go"
    for line in edge._lines[:20]:
        line.cut()
    assert not is_active(made)
    healed(made)
