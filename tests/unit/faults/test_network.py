"""Network faults: proven by what passes the edge, and gone only when the server says so too."""

from pathlib import Path
from typing import Literal

import pytest

from gameday.api.edge import Route, Seen
from gameday.api.fault import Fault, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    Flap,
    HalfOpen,
    Latency,
    Refuse,
    Reset,
    Slice,
    SlowClose,
)
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.edges import EdgedEnvironment, MemoryEdge, TerseDialect
from gameday.testing.is_active import is_active

EDGE = "app -> db"
FLAP = Flap(target=EDGE, down_ns=200 * MILLISECOND, up_ns=200 * MILLISECOND)
SIZED: list[Fault] = [
    Latency(target=EDGE, delay_ns=50 * MILLISECOND),
    Latency(target=EDGE, delay_ns=2 * SECOND, stream="upstream"),
    Bandwidth(target=EDGE, rate_bytes_per_s=64_000),
    Slice(target=EDGE, size_bytes=50),
    Slice(target=EDGE, size_bytes=64, variation_bytes=8, stream="upstream"),
    ByteLimit(target=EDGE, after_bytes=4_000),
    ByteLimit(target=EDGE, after_bytes=4_000, stream="upstream"),
    SlowClose(target=EDGE, delay_ns=100 * MILLISECOND, stream="both"),
]
INSTANT: list[Fault] = [
    *SIZED,
    Bandwidth(target=EDGE, rate_bytes_per_s=0),
    Blackhole(target=EDGE),
    Blackhole(target=EDGE, stream="downstream"),
    Refuse(target=EDGE),
    Reset(target=EDGE),
]


def name(fault: Fault) -> str:
    return f"{fault.verb}-{getattr(fault, 'stream', '')}-{getattr(fault, 'rate_bytes_per_s', '')}"


every = pytest.mark.parametrize("fault", [*INSTANT, FLAP], ids=name)
instant = pytest.mark.parametrize("fault", INSTANT, ids=name)
sized = pytest.mark.parametrize("fault", SIZED, ids=name)


def no_checkpoint() -> None:
    return


@pytest.fixture
def environment() -> EdgedEnvironment:
    return EdgedEnvironment(target=target(), clock=ManualClock())


@pytest.fixture
def edge(environment: EdgedEnvironment) -> MemoryEdge:
    return environment.edge(Edge(client="app", service="db"))


def target() -> Target:
    app = ServiceSpec(name="app", kind="app", program="p", needs=("db",))
    db = ServiceSpec(name="db", kind="redis")
    return Target(name="t", title="T", path=Path(), services=(db, app))


def put(fault: Fault, environment: EdgedEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(no_checkpoint)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(no_checkpoint)


@instant
def test_what_only_the_server_reports_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    edge.works = False
    assert not put(fault, environment)[1].proven


@sized
@pytest.mark.parametrize("share", [0.4, 4.0])
def test_an_effect_of_another_size_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault, share: float
) -> None:
    edge.does = share
    assert not put(fault, environment)[1].proven


@instant
def test_what_cannot_be_read_is_not_undone(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    made, _ = put(fault, environment)
    edge.readable = False
    assert not healed(made).proven


def test_an_edge_that_stays_refused_is_not_undone(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, _ = put(Refuse(target=EDGE), environment)
    edge.enables = False
    proof = healed(made)
    assert not proof.proven
    assert proof.measured["proxy_enabled"] is False
    assert "stays disabled" in str(proof.measured["undo_error"])


@pytest.mark.parametrize("works", [True, False])
def test_a_toxic_that_stays_is_not_undone_even_without_an_effect(
    environment: EdgedEnvironment, edge: MemoryEdge, works: bool
) -> None:
    made, _ = put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)
    edge.removes, edge.works = False, works
    proof = healed(made)
    assert not proof.proven
    assert "latency_upstream" in str(proof.measured["toxics_left"])


def test_an_edge_that_is_still_slow_is_not_undone(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, _ = put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)
    edge.add("somebody else's", "latency", "upstream", {"latency": 80, "jitter": 0})
    proof = healed(made)
    assert not proof.proven
    assert proof.measured["toxics_left"] == "none"
    assert proof.measured["toxics_of_others"] == 1


@pytest.mark.parametrize(
    "fault", [fault for fault in INSTANT if not isinstance(fault, Refuse)], ids=name
)
def test_what_still_bites_is_not_undone_whatever_the_server_lists(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    made, _ = put(fault, environment)
    edge.lingers = True
    proof = healed(made)
    assert not proof.proven
    assert proof.measured["toxics_left"] == "none"


def test_a_proxy_that_is_disabled_is_not_undone_even_without_an_effect(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, _ = put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)
    edge.works = False
    edge.disable()
    assert not healed(made).proven


@pytest.mark.parametrize("fault", [fault for fault in INSTANT if fault not in SIZED], ids=name)
def test_an_edge_to_a_dead_service_proves_nothing(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    edge.serves = False
    assert not put(fault, environment)[1].proven


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_a_service_that_is_as_slow_itself_proves_no_bandwidth(
    environment: EdgedEnvironment, edge: MemoryEdge, stream: Literal["upstream", "downstream"]
) -> None:
    edge.works, edge.service_bytes_per_s = False, 64_000
    fault = Bandwidth(target=EDGE, rate_bytes_per_s=64_000, stream=stream)
    proof = put(fault, environment)[1]
    assert not proof.proven
    assert proof.measured[f"{stream}_bytes_per_s"] == pytest.approx(64_000, rel=0.05)


@pytest.mark.parametrize("jitters", [True, False])
def test_a_jitter_has_to_show(
    environment: EdgedEnvironment, edge: MemoryEdge, jitters: bool
) -> None:
    edge.jitters = jitters
    fault = Latency(target=EDGE, delay_ns=50 * MILLISECOND, jitter_ns=20 * MILLISECOND)
    assert put(fault, environment)[1].proven is jitters


def test_pieces_that_arrive_together_are_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.coalesces = True
    assert not put(Slice(target=EDGE, size_bytes=50), environment)[1].proven


def test_a_latency_of_which_one_answer_is_missing_is_not_proven(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.loses_every = 5
    proof = put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)[1]
    assert not proof.proven
    assert proof.measured["samples"] == 7


def test_a_toxic_that_waits_for_its_reader_comes_off_without_connections(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    made, _ = put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)
    edge.blocks_removal = True
    assert healed(made).proven


def test_two_latencies_of_one_edge_add_up_and_leave_each_other_alone(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    first, _ = put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)
    put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)
    first.undo()
    assert len(edge.state().toxics) == 2


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (Refuse(target=EDGE), Seen.SILENT),
        (Reset(target=EDGE), Seen.SILENT),
        (Blackhole(target=EDGE), Seen.ANSWERED),
    ],
)
def test_a_connection_from_before_that_is_spared_disproves_the_fault(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault, seen: Seen
) -> None:
    edge.keeps_open = True
    proof = put(fault, environment)[1]
    assert not proof.proven
    assert proof.measured["open_connection"] == seen


def test_an_end_is_no_refusal(environment: EdgedEnvironment, edge: MemoryEdge) -> None:
    edge.accepts_first = True
    assert not put(Refuse(target=EDGE), environment)[1].proven


def test_an_orderly_end_is_no_reset(environment: EdgedEnvironment, edge: MemoryEdge) -> None:
    edge.ends_in_order = True
    proof = put(Reset(target=EDGE), environment)[1]
    assert not proof.proven
    assert proof.measured["open_connection"] == Seen.CLOSED


def test_a_proxy_that_does_not_reset_open_connections_is_refused(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    assert Reset(target=EDGE).requirements("docker").features.own_proxy
    edge.resets_open = False
    with pytest.raises(EnvironmentRefused, match="does not reset open connections"):
        Reset(target=EDGE).on(environment)


CUTS = [fault for fault in (*INSTANT, FLAP) if fault not in SIZED]


@pytest.mark.parametrize("fault", [*CUTS, HalfOpen(target=EDGE)], ids=name)
def test_what_does_nothing_is_not_proven_by_the_same_fault_of_another(
    environment: EdgedEnvironment, fault: Fault
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven
    other = put(Noop(fault=fault), environment)[1]
    assert not other.proven
    assert healed(made).proven


@pytest.mark.parametrize("fault", [*CUTS, HalfOpen(target=EDGE)], ids=name)
def test_an_edge_that_did_not_answer_before_proves_nothing(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    made = fault.on(environment)
    edge.serves = False
    made.inject()
    edge.serves = True
    proof = made.prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["open_connection"] == "none answered before"
    assert healed(made).proven


def test_an_edge_whose_login_got_no_answer_is_asked_nothing_more(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.login_bytes, edge.serves = 30, False
    Blackhole(target=EDGE).on(environment).inject()
    assert edge.asked == 0, "each question takes a second of waiting, before the fault is in"


def test_a_stall_keeps_what_was_sent_and_says_so(environment: EdgedEnvironment) -> None:
    made, effect = put(Bandwidth(target=EDGE, rate_bytes_per_s=0), environment)
    assert effect.measured["open_connection"] == Seen.SILENT
    assert healed(made).measured["open_connection_after"] == Seen.ANSWERED


def test_a_refusal_behind_a_forwarder_is_an_end_without_an_answer(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.forwarded = True
    assert edge.open(Route.PROXIED, 0).opened is Seen.ANSWERED
    proof = put(Refuse(target=EDGE), environment)[1]
    assert proof.proven
    assert proof.measured["seen"] == Seen.CLOSED


def test_a_reset_behind_a_forwarder_is_refused(
    environment: EdgedEnvironment, edge: MemoryEdge
) -> None:
    edge.forwarded = True
    with pytest.raises(EnvironmentRefused, match=r"reset on app -> db: .* forwarder"):
        Reset(target=EDGE).on(environment)


@every
def test_a_service_that_nothing_can_be_asked_is_refused(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    edge.dialect = None
    with pytest.raises(EnvironmentRefused, match=f"{fault.verb} on app -> db: no request to db"):
        fault.on(environment)


@pytest.mark.parametrize("verb", [Bandwidth, Slice, ByteLimit])
def test_a_service_that_says_little_bears_no_fault_that_is_measured_in_bytes(
    environment: EdgedEnvironment, edge: MemoryEdge, verb: type[Fault]
) -> None:
    edge.dialect = TerseDialect()
    fault = next(fault for fault in SIZED if isinstance(fault, verb))
    with pytest.raises(EnvironmentRefused, match="many bytes"):
        fault.on(environment)
    assert put(Latency(target=EDGE, delay_ns=50 * MILLISECOND), environment)[1].proven


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Latency(target=EDGE, delay_ns=5 * MILLISECOND), "delay: wanted 10ms to 10s"),
        (lambda: Latency(target=EDGE, delay_ns=11 * SECOND), "10ms to 10s: others are not proven"),
        (lambda: Latency(target=EDGE, delay_ns=10_500_000), "delay: wanted whole milliseconds"),
        (
            lambda: Latency(target=EDGE, delay_ns=10 * MILLISECOND, jitter_ns=11 * MILLISECOND),
            "cut off",
        ),
        (
            lambda: Latency(target=EDGE, delay_ns=10 * MILLISECOND, jitter_ns=4 * MILLISECOND),
            "5ms or more",
        ),
        (lambda: Bandwidth(target=EDGE, rate_bytes_per_s=1_500), "whole kB/s"),
        (lambda: Bandwidth(target=EDGE, rate_bytes_per_s=3_000_000), "at most 2MB/s"),
        (lambda: Slice(target=EDGE, size_bytes=0), "1B to 10kB"),
        (lambda: Slice(target=EDGE, size_bytes=9, variation_bytes=9), "less than the size"),
        (lambda: Slice(target=EDGE, size_bytes=9, delay_ns=0), "1ms to 100ms"),
        (lambda: ByteLimit(target=EDGE, after_bytes=10), "500B to 1MB"),
        (lambda: SlowClose(target=EDGE, delay_ns=5 * SECOND), "10ms to 4s"),
        (lambda: Flap(target=EDGE, down_ns=0, up_ns=SECOND), "200 ms to 10 s"),
    ],
)
def test_what_could_not_be_proven_is_refused_before_anything_starts(
    make: type[Fault], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        make()


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_the_bytes_of_a_login_count_for_a_byte_limit(
    environment: EdgedEnvironment, edge: MemoryEdge, stream: Literal["upstream", "downstream"]
) -> None:
    edge.login_bytes = 2_000
    made, effect = put(ByteLimit(target=EDGE, after_bytes=4_000, stream=stream), environment)
    assert effect.proven, effect.measured
    assert healed(made).proven


@every
def test_what_somebody_else_lifts_is_not_in_any_more(
    environment: EdgedEnvironment, edge: MemoryEdge, fault: Fault
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven
    assert is_active(made)
    if edge.state().toxics:
        edge.remove(edge.state().toxics[-1])
    elif fault is FLAP:
        edge.enables = False  # which ends the thread
        environment.clock.sleep_ns(SECOND)
    else:
        edge.enable()
    assert not is_active(made)
    edge.enables = True
    made.undo()
