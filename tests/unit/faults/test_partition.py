"""Partitions: proven when who reaches whom is as planned, undone when all reach all again."""

from pathlib import Path

import pytest

from gameday.api.fault import Injection, Proof
from gameday.api.packets import Drop
from gameday.errors import EnvironmentRefused
from gameday.faults.network import Partition
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.edges import EdgedEnvironment
from gameday.testing.is_active import is_active
from gameday.testing.networks import NetworkedEnvironment

SIDES = Partition(target="db | app, web")
ONE_WAY = Partition(target="db | app", direction="in")
ALL = (
    SIDES,
    ONE_WAY,
    Partition(target="db | app", direction="out"),
    Partition(target="db, app, web", shape="isolated"),
)
every = pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.target}-{f.shape}-{f.direction}")
Environments = EdgedEnvironment | NetworkedEnvironment


@pytest.fixture(params=[EdgedEnvironment, NetworkedEnvironment])
def environment(request: pytest.FixtureRequest) -> Environments:
    """One where services are parted on their edges, and one where it is done by packets."""
    made: type[Environments] = request.param
    return made(target=target(), clock=ManualClock())


@pytest.fixture
def networked() -> NetworkedEnvironment:
    return NetworkedEnvironment(target=target(), clock=ManualClock())


@pytest.fixture
def edged() -> EdgedEnvironment:
    return EdgedEnvironment(target=target(), clock=ManualClock())


def target(*, chained: bool = False) -> Target:
    """Return three services, each of which needs those before it, or only the last of them."""
    db = ServiceSpec(name="db", kind="redis")
    app = ServiceSpec(name="app", kind="app", program="p", needs=("db",))
    needs = ("app",) if chained else ("db", "app")
    web = ServiceSpec(name="web", kind="app", program="p", needs=needs)
    return Target(name="t", title="T", path=Path(), services=(db, app, web))


def put(fault: Partition | Noop, environment: Environments) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(lambda: None)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(lambda: None)


def test_what_the_kernel_does_not_count_is_not_proven(networked: NetworkedEnvironment) -> None:
    networked.counts = False
    assert not put(SIDES, networked)[1].proven


def test_a_cut_beyond_the_plan_is_not_proven(networked: NetworkedEnvironment) -> None:
    put(Partition(target="app | web"), networked)
    proof = put(SIDES, networked)[1]
    assert not proof.proven
    assert "app to web" in str(proof.measured["not_as_planned"])


def test_both_ways_do_not_pass_for_one(networked: NetworkedEnvironment) -> None:
    put(Partition(target="db | app"), networked)
    proof = put(ONE_WAY, networked)[1]
    assert not proof.proven
    assert proof.measured["not_as_planned"] == "db to app"


@pytest.mark.parametrize("target", ["client | db", "db | client, web"])
def test_the_harness_is_on_a_side_only_where_it_is_named(
    edged: EdgedEnvironment, target: str
) -> None:
    made, effect = put(Partition(target=target), edged)
    assert effect.proven, effect.measured
    assert not edged.edge(Edge(client="client", service="db")).quiet
    assert edged.edge(Edge(client="client", service="app")).quiet
    assert healed(made).proven


def test_toxics_that_swallow_nothing_are_not_proven(edged: EdgedEnvironment) -> None:
    edged.edge(Edge(client="app", service="db")).works = False
    assert not put(SIDES, edged)[1].proven


def test_one_way_is_not_proven_where_the_other_way_is_what_is_silent(
    edged: EdgedEnvironment,
) -> None:
    answers_lost = Partition(target="db | app", direction="out").on(edged)
    answers_lost.inject()
    # The question is swallowed, so that there is no answer to swallow.
    edged.edge(Edge(client="app", service="db")).add("other", "timeout", "upstream", {"timeout": 0})
    assert not answers_lost.prove(lambda: None).proven


def test_a_proxy_that_does_not_count_proves_silence_both_ways(edged: EdgedEnvironment) -> None:
    for edge in edged.edges:
        edged.edge(edge).counts = False
    made, effect = put(SIDES, edged)
    assert effect.proven
    assert "bytes_dropped" not in effect.measured
    assert healed(made).proven


def test_a_dead_service_is_no_partition(environment: Environments) -> None:
    environment.edge(Edge(client="app", service="db")).serves = False
    assert not put(SIDES, environment)[1].proven


def test_the_silence_of_one_partition_does_not_prove_another(environment: Environments) -> None:
    first, effect = put(SIDES, environment)
    assert effect.proven
    noop = put(Noop(fault=SIDES), environment)[1]
    assert (noop.proven, noop.measured["not_as_planned"]) == (False, "none")
    second, proof = put(SIDES, environment)
    assert (proof.proven, proof.measured["open_connections"]) == (False, 0)
    second.undo()
    assert healed(first).proven


def test_a_partition_that_spares_open_connections_is_not_proven(edged: EdgedEnvironment) -> None:
    edged.edge(Edge(client="app", service="db")).keeps_open = True
    assert not put(SIDES, edged)[1].proven


def test_a_loss_beside_the_plan_is_not_proven(networked: NetworkedEnvironment) -> None:
    lossy = Drop(peer=networked.network("app").address, share=0.5)
    networked.network("web").drop("other", [lossy])
    proof = put(SIDES, networked)[1]
    assert not proof.proven
    assert proof.measured["not_as_planned"] == "app to web"


def test_rules_that_are_there_and_do_nothing_are_not_undone(
    networked: NetworkedEnvironment,
) -> None:
    made, _ = put(SIDES, networked)
    networked.lifts = networked.works = False
    assert not healed(made).proven


@pytest.mark.parametrize("defect", ["lifts", "readable"])
def test_rules_that_stay_or_cannot_be_read_are_not_undone(
    networked: NetworkedEnvironment, defect: str
) -> None:
    made, _ = put(SIDES, networked)
    setattr(networked, defect, False)
    assert not healed(made).proven


def test_a_cut_that_outlives_its_rules_is_not_undone(networked: NetworkedEnvironment) -> None:
    made, _ = put(SIDES, networked)
    networked.lingers = True
    assert not healed(made).proven


def test_toxics_that_stay_are_not_undone(edged: EdgedEnvironment) -> None:
    made, _ = put(SIDES, edged)
    edged.edge(Edge(client="app", service="db")).removes = False
    assert not healed(made).proven


def test_sides_without_a_connection_are_refused_where_only_connections_can_be_cut(
    edged: EdgedEnvironment,
) -> None:
    edged.edge(Edge(client="web", service="app")).dialect = None
    with pytest.raises(EnvironmentRefused, match=r"between these sides is none to measure"):
        Partition(target="app | web").on(edged)


def test_one_way_in_process_needs_a_proxy_that_counts() -> None:
    assert ONE_WAY.requirements("process").features.own_proxy
    assert not SIDES.requirements("process").features.own_proxy
    assert not ONE_WAY.requirements("docker").features.own_proxy
    assert [m.name for m in SIDES.requirements("docker").mechanisms] == [
        "packet filter in containers' networks"
    ]


TURNS = Partition(target="db | app, web", down_ns=SECOND // 2, up_ns=SECOND // 2)


@pytest.mark.parametrize("kind", [EdgedEnvironment, NetworkedEnvironment])
def test_turns_of_the_length_asked_for_are_proven_and_end(kind: type[Environments]) -> None:
    # One connection is cut: of those who watch two side by side, each would move the clock.
    environment = kind(target=target(chained=True), clock=ManualClock())
    made, effect = put(TURNS, environment)
    assert effect.proven, effect.measured
    assert effect.measured["connections_left"] == 1
    undone = healed(made)
    assert undone.proven, undone.measured
    assert not is_active(made)


def test_a_cut_that_stays_does_not_pass_for_turns(environment: Environments) -> None:
    put(SIDES, environment)
    proof = TURNS.on(environment).prove(lambda: None)
    assert not proof.proven
    assert proof.measured["changes"] == 0


@pytest.mark.parametrize(("down_ns", "up_ns"), [(SECOND, 0), (SECOND, SECOND // 10)])
def test_turns_that_could_not_be_measured_are_refused(down_ns: int, up_ns: int) -> None:
    with pytest.raises(ValueError, match="up: wanted 500 ms to 10 s, or both down and up left out"):
        Partition(target="db | app", down_ns=down_ns, up_ns=up_ns)


@every
def test_a_network_that_lost_its_rules_is_not_parted_any_more(
    networked: NetworkedEnvironment, fault: Partition
) -> None:
    made, effect = put(fault, networked)
    assert effect.proven
    assert is_active(made)
    ruled = next(one for one in networked.networks.values() if one.chains)
    ruled.chains.clear()
    assert not is_active(made)


@every
def test_an_edge_that_lost_a_toxic_is_not_parted_any_more(
    edged: EdgedEnvironment, fault: Partition
) -> None:
    made, effect = put(fault, edged)
    assert effect.proven
    assert is_active(made)
    edge = next(one for edge in edged.edges if (one := edged.edge(edge)).state().toxics)
    edge.remove(edge.state().toxics[-1])
    assert not is_active(made)


def test_a_partition_that_comes_and_goes_no_more_is_not_in_any_more(
    networked: NetworkedEnvironment,
) -> None:
    turns = 500 * MILLISECOND
    made = Partition(target="db | app, web", down_ns=turns, up_ns=turns).on(networked)
    made.inject()
    assert is_active(made)
    networked.lifts = False  # which ends the thread
    networked.clock.sleep_ns(turns)
    assert not is_active(made)
    networked.lifts = True
    made.undo()
