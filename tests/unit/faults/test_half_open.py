"""Half-open: neither data nor ends arrive, and what met it is reset when it is over."""

from typing import Literal

import pytest

from gameday.api.edge import Seen
from gameday.api.environment import Features
from gameday.api.fault import Fault, Injection, Proof
from gameday.faults.network import Blackhole, HalfOpen
from gameday.testing.edges import EdgedEnvironment, MemoryEdge

EDGE = "app -> db"
STREAMS: list[Literal["both", "upstream", "downstream"]] = ["both", "upstream", "downstream"]

every = pytest.mark.parametrize("stream", STREAMS)
Stream = Literal["both", "upstream", "downstream"]


@pytest.fixture
def environment(edged: EdgedEnvironment) -> EdgedEnvironment:
    return edged


def put(fault: Fault, environment: EdgedEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(lambda: None)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(lambda: None)


@every
def test_what_gets_neither_answer_nor_end_is_half_open_and_reset_afterwards(
    environment: EdgedEnvironment, edge: MemoryEdge, stream: Stream
) -> None:
    made, effect = put(HalfOpen(target=EDGE, stream=stream), environment)
    assert effect.proven, effect.measured
    undone = healed(made)
    assert undone.proven, undone.measured
    assert (undone.measured["met_before"], undone.measured["reset_after"]) == (4, 4)
    assert edge.state().toxics == ()


@pytest.mark.parametrize("defect", ["works", "serves", "tells_ends", "keeps_open"])
def test_what_is_not_half_open_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge, defect: str
) -> None:
    setattr(edge, defect, not getattr(edge, defect))
    assert not put(HalfOpen(target=EDGE), environment)[1].proven


def test_a_service_that_was_never_asked_is_not_cut_off_downstream_only(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.hears = False
    made, effect = put(HalfOpen(target=EDGE, stream="upstream"), environment)
    assert effect.proven
    assert healed(made).proven
    assert not put(HalfOpen(target=EDGE, stream="downstream"), environment)[1].proven


@pytest.mark.parametrize("defect", ["lingers", "forgives"])
def test_what_still_bites_or_goes_on_with_a_hole_in_it_is_not_undone(
    environment: EdgedEnvironment, edge: MemoryEdge, defect: str
) -> None:
    made, effect = put(HalfOpen(target=EDGE), environment)
    assert effect.proven
    setattr(edge, defect, True)
    assert not healed(made).proven


def test_what_was_never_in_is_undone_without_a_reset(environment: EdgedEnvironment) -> None:
    made = HalfOpen(target=EDGE).on(environment)
    assert healed(made).measured["met_before"] == 0


def test_a_forwarder_may_make_an_end_of_the_reset(
    environment: EdgedEnvironment, edge: MemoryEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = put(HalfOpen(target=EDGE), environment)
    made.undo()
    for line in edge._lines:
        monkeypatch.setattr(line, "_ended", Seen.CLOSED)
    assert not made.prove_healed(lambda: None).proven
    edge.forwarded = True
    assert made.prove_healed(lambda: None).proven


def test_it_needs_gamedays_own_proxy_and_a_blackhole_of_both_directions_does_not() -> None:
    wanted = Features(own_proxy=True)
    assert HalfOpen(target=EDGE).requirements("docker").features == wanted
    assert Blackhole(target=EDGE).requirements("docker").features == Features()
