"""A fault on one direction of an edge is proven in that direction only, by what its proxy has."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gameday.api.edge import Route, Seen, Stream
from gameday.api.environment import Features
from gameday.api.fault import Fault, HasRequirements, Proof
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    HalfOpen,
    Latency,
    Slice,
    SlowClose,
    measuring,
)
from gameday.faults.network.measuring import Added, in_direction
from gameday.faults.network.proxy_observer import Passed
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.edges import EdgedEnvironment, MemoryEdge

EDGE = "app -> db"
STREAMS: tuple[Stream, ...] = ("upstream", "downstream")


def held() -> Iterator[Fault]:
    """Give the faults that look the same in either direction from the client's side."""
    for stream in STREAMS:
        slow = Latency(target=EDGE, delay_ns=10 * MILLISECOND, stream=stream)
        yield slow
        yield replace(slow, delay_ns=2 * SECOND)
        yield replace(slow, jitter_ns=10 * MILLISECOND)
        normal = replace(slow, delay_ns=90 * MILLISECOND, jitter_ns=30 * MILLISECOND)
        yield replace(normal, distribution="normal")
        yield Blackhole(target=EDGE, stream=stream)
        yield Bandwidth(target=EDGE, rate_bytes_per_s=0, stream=stream)
        yield SlowClose(target=EDGE, delay_ns=100 * MILLISECOND, stream=stream)
        yield HalfOpen(target=EDGE, stream=stream)


def sized() -> Iterator[Fault]:
    """Give the faults of which a measurement in their direction has always been a part."""
    for stream in STREAMS:
        yield Bandwidth(target=EDGE, rate_bytes_per_s=64_000, stream=stream)
        yield Slice(target=EDGE, size_bytes=50, stream=stream)
        yield ByteLimit(target=EDGE, after_bytes=4_000, stream=stream)


HELD, SIZED = list(held()), list(sized())


def name(fault: Fault) -> str:
    keys = ("stream", "delay_ns", "jitter_ns", "distribution", "rate_bytes_per_s")
    facts = [getattr(fault, key, "") for key in keys]
    return "-".join(str(fact) for fact in (fault.verb, *facts) if fact)


one_way = pytest.mark.parametrize("fault", HELD, ids=name)


@pytest.fixture
def environment(edged: EdgedEnvironment) -> EdgedEnvironment:
    return edged


def proof_of(fault: Fault, environment: EdgedEnvironment) -> Proof:
    """Put a fault in, and give back both of its proofs as one."""
    made = fault.on(environment)
    made.inject()
    effect = made.prove(lambda: None)
    made.undo()
    assert made.prove_healed(lambda: None).proven
    return effect


@one_way
def test_a_fault_on_one_direction_is_proven_there(
    environment: EdgedEnvironment, fault: Fault
) -> None:
    effect = proof_of(fault, environment)
    assert effect.proven, effect.measured


@pytest.mark.parametrize("fault", [*HELD, *SIZED], ids=name)
def test_the_same_on_the_other_direction_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    edge.crosses = True
    effect = proof_of(fault, environment)
    assert not effect.proven, effect.measured


@one_way
def test_a_proxy_that_lists_nothing_shows_no_direction(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    edge.lists = False
    assert not proof_of(fault, environment).proven


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("crosses", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        Latency(target=EDGE, delay_ns=50 * MILLISECOND),
        Latency(target=EDGE, delay_ns=50 * MILLISECOND, jitter_ns=20 * MILLISECOND),
        Blackhole(target=EDGE),
        Bandwidth(target=EDGE, rate_bytes_per_s=0),
        SlowClose(target=EDGE, delay_ns=100 * MILLISECOND, stream="both"),
        HalfOpen(target=EDGE),
    ],
    ids=name,
)
def test_where_both_directions_are_hit_nobody_asks_for_a_list(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault, lists: bool, crosses: bool
) -> None:
    edge.lists, edge.crosses = lists, crosses
    effect = proof_of(fault, environment)
    assert effect.proven, effect.measured
    assert not {"answers_reached_proxy", "upstream_ns"} & effect.measured.keys()


@one_way
@pytest.mark.parametrize("login", [0, 300])
def test_a_forwarder_hides_the_addresses_and_not_the_direction(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault, login: int
) -> None:
    edge.forwarded, edge.login_bytes = True, login
    effect = proof_of(fault, environment)
    assert effect.proven, effect.measured


@one_way
@pytest.mark.parametrize("forwarded", [True, False])
def test_others_who_do_the_same_spoil_the_proof_behind_a_forwarder_only(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault, forwarded: bool
) -> None:
    edge.forwarded, edge.strangers = forwarded, 2
    assert proof_of(fault, environment).proven is not forwarded


@one_way
def test_others_who_send_something_else_are_not_taken_for_our_own(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    edge.forwarded, edge.strangers, edge.strangers_say = True, 2, 1
    assert proof_of(fault, environment).proven


def test_a_question_that_has_not_come_to_the_proxy_shows_no_upstream_fault(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.deaf = True
    effect = proof_of(Blackhole(target=EDGE, stream="upstream"), environment)
    assert effect.measured["answers_reached_proxy"] is None
    assert not effect.proven


def test_of_a_login_that_hears_nothing_no_more_than_its_start_is_sent(edge: MemoryEdge) -> None:
    edge.login_bytes = 30
    line = edge.open(Route.PROXIED, SECOND)
    assert Passed.unheard(line, b"HI").sent_bytes == 32
    line.opened = Seen.SILENT
    assert Passed.unheard(line, b"HI").sent_bytes == 30


@pytest.mark.parametrize(("served_ms", "proven"), [(10, True), (5, False), (0, False)])
def test_a_delay_within_the_tolerance_is_in_the_direction_that_has_more_of_it(
    served_ms: int, proven: bool
) -> None:
    seen = Added(front_ns=10 * MILLISECOND, direct_ns=0, answered=9, served_ns=0)
    seen = replace(seen, served_ns=served_ms * MILLISECOND)
    size = Proof(proven=True)
    assert in_direction(size, seen, "upstream", 10 * MILLISECOND).proven is proven
    tiny = replace(seen, front_ns=4 * MILLISECOND, served_ns=0)
    assert not in_direction(size, tiny, "upstream", 10 * MILLISECOND).proven


def test_a_connection_of_which_the_proxy_does_not_know_the_end_gives_no_median() -> None:
    assert measuring._median([3, 1, 2]) == 2
    assert measuring._median([3, None, 2]) is None
    assert measuring._median([]) is None


@pytest.mark.parametrize("answer", [80, 75])
def test_questions_that_end_with_their_answers_show_no_limit_upstream(
    environment: EdgedEnvironment, edge: MemoryEdge, answer: int
) -> None:
    """Whichever of the two is limited: a question has 80 bytes here."""
    fault = ByteLimit(target=EDGE, after_bytes=4_000, stream="upstream")
    edge.answer_bytes = 2 * answer
    assert proof_of(fault, environment).proven
    edge.answer_bytes, edge.crosses = answer, True
    effect = proof_of(fault, environment)
    assert effect.measured["sent_bytes"] == pytest.approx(4_000, rel=0.1)
    assert not effect.proven


@pytest.mark.parametrize("stream", STREAMS)
def test_a_service_that_does_not_answer_shows_no_upstream_fault(
    environment: EdgedEnvironment, edge: MemoryEdge, stream: Stream
) -> None:
    made = Blackhole(target=EDGE, stream=stream).on(environment)
    made.inject()
    edge.serves = False
    assert not made.prove(lambda: None).proven


@pytest.mark.parametrize("stream", STREAMS)
def test_how_much_is_late_in_each_direction_is_told(
    environment: EdgedEnvironment, stream: Stream
) -> None:
    fault = Latency(target=EDGE, delay_ns=50 * MILLISECOND, stream=stream)
    measured = proof_of(fault, environment).measured
    other = next(one for one in STREAMS if one != stream)
    assert measured[f"{stream}_ns"] == pytest.approx(50 * MILLISECOND, abs=MILLISECOND)
    assert measured[f"{other}_ns"] == pytest.approx(0, abs=MILLISECOND)


@pytest.mark.parametrize("stream", STREAMS)
def test_half_of_a_delay_in_each_direction_is_not_all_of_it_in_one(
    environment: EdgedEnvironment, edge: MemoryEdge, stream: Stream
) -> None:
    asked = Latency(target=EDGE, delay_ns=100 * MILLISECOND, stream=stream)
    given = Latency(target=EDGE, delay_ns=50 * MILLISECOND).on(environment)
    given.inject()
    effect = asked.on(environment).prove(lambda: None)
    assert effect.measured["added_ns"] == pytest.approx(100 * MILLISECOND, abs=MILLISECOND)
    assert not effect.proven


@one_way
def test_one_direction_needs_gamedays_own_proxy(fault: Fault) -> None:
    assert isinstance(fault, HasRequirements)
    assert fault.requirements("docker").features == Features(own_proxy=True)


@pytest.mark.parametrize("fault", [*SIZED, Latency(target=EDGE, delay_ns=SECOND)], ids=name)
def test_a_measured_direction_and_both_of_them_do_not(fault: Fault) -> None:
    assert (
        not isinstance(fault, HasRequirements)
        or fault.requirements("docker").features == Features()
    )
