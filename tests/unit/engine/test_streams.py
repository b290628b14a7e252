"""Whatever a fault hits, some operation comes by it."""

from dataclasses import replace
from pathlib import Path

import pytest

from gameday.engine.planning import Options, load
from gameday.engine.streams import met_by, plan_streams
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.network import Latency, Partition, Refuse
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import FaultSpec, FaultStep, MetBy, Scenario, ServiceSpec, Target
from gameday.resources import bundled


@pytest.fixture
def scenario() -> Scenario:
    options = Options(runtime="process", settings={})
    return load(bundled("scenarios") / "redis-restart.yaml", options).scenario


@pytest.fixture
def target() -> Target:
    def app(name: str) -> ServiceSpec:
        return ServiceSpec(name=name, kind="app", program="apps.relay", needs=("redis",))

    return Target(
        name="t",
        title="T",
        path=Path(),
        services=(
            ServiceSpec(name="redis", kind="redis"),
            ServiceSpec(name="rcopy", kind="redis-replica", needs=("redis",)),
            ServiceSpec(name="postgres", kind="postgres"),
            ServiceSpec(name="pcopy", kind="postgres-replica", needs=("postgres",)),
            ServiceSpec(name="rabbitmq", kind="rabbitmq"),
            *(app(name) for name in ("relay", "listener", "aside")),
        ),
    )


def step(fault: FaultSpec, met_by: MetBy = "probes") -> FaultStep:
    return FaultStep(fault=fault, for_ns=SECOND, met_by=met_by)


def hitting(scenario: Scenario, *faults: FaultSpec) -> Scenario:
    return replace(scenario, faults=tuple(step(fault) for fault in faults))


def spoken(scenario: Scenario, target: Target) -> dict[str, tuple[str, str]]:
    """Return what each probe speaks and the way that it takes."""
    load, *probes = plan_streams(scenario, target)
    assert load.name == "publish"
    return {probe.name: (probe.client, probe.edge) for probe in probes}


def test_both_paths_to_what_is_hit_are_probed(scenario: Scenario, target: Target) -> None:
    assert spoken(scenario, target) == {
        "probe-front": ("redis-write", "client -> redis"),
        "probe-direct": ("redis-write", "redis"),
    }


def test_of_several_services_the_first_store_is_probed(scenario: Scenario, target: Target) -> None:
    split = hitting(scenario, Partition(target="relay | listener, redis"))
    assert [edge for _, edge in spoken(split, target).values()] == ["client -> redis", "redis"]


@pytest.mark.parametrize(
    ("store", "client"),
    [("redis", "redis-write"), ("postgres", "postgres-write"), ("rabbitmq", "rabbitmq-publish")],
)
def test_a_store_is_probed_by_writes_in_its_own_protocol(
    scenario: Scenario, target: Target, store: str, client: str
) -> None:
    assert [said for said, _ in spoken(hitting(scenario, Kill(target=store)), target).values()] == [
        client,
        client,
    ]


@pytest.mark.parametrize(
    ("hit", "name", "probe"),
    [
        ("rcopy", "probe-rcopy", ("redis-read", "client -> rcopy")),
        ("pcopy", "probe-pcopy", ("postgres-read", "client -> pcopy")),
        ("aside", "probe-aside", ("http-ready", "client -> aside")),
        ("rabbitmq", "probe-rabbitmq", ("rabbitmq-publish", "client -> rabbitmq")),
    ],
)
def test_what_the_load_does_not_come_by_gets_a_probe(
    scenario: Scenario, target: Target, hit: str, name: str, probe: tuple[str, str]
) -> None:
    both = hitting(scenario, Kill(target="redis"), Kill(target=hit))
    probes = spoken(both, target)
    assert probes.pop(name) == probe
    assert list(probes) == ["probe-front", "probe-direct"]
    streams = plan_streams(both, target)
    met = met_by(step(Kill(target=hit)), streams, both, target)
    assert [one for one in met if one != "publish"] == [name]


def test_an_edge_that_the_load_does_not_take_is_probed_through_its_front(
    scenario: Scenario, target: Target
) -> None:
    slow = Latency(target="pcopy -> postgres", delay_ns=100 * MILLISECOND)
    both = hitting(scenario, Kill(target="redis"), slow)
    assert spoken(both, target)["probe-pcopy-postgres"] == ("postgres-write", slow.target)


def test_a_partition_is_met_where_an_answer_rests_on_what_it_parts(
    scenario: Scenario, target: Target
) -> None:
    both = hitting(scenario, Kill(target="redis"), Partition(target="redis | rcopy"))
    assert spoken(both, target)["probe-rcopy"] == ("redis-read", "client -> rcopy")


def test_an_app_on_the_loads_way_gets_no_probe(scenario: Scenario, target: Target) -> None:
    assert spoken(hitting(scenario, Kill(target="relay")), target) == {}


def test_only_the_load_counts_unless_the_scenario_asks_for_probes(
    scenario: Scenario, target: Target
) -> None:
    streams = plan_streams(scenario, target)
    assert met_by(step(Kill(target="redis"), "load"), streams, scenario, target) == ("publish",)
    aside = hitting(scenario, Kill(target="rabbitmq"))
    streams = plan_streams(aside, target)
    assert met_by(step(Kill(target="rabbitmq"), "load"), streams, aside, target) == ()


def test_who_reads_a_store_that_the_load_writes_to_is_met_by_it(
    scenario: Scenario, target: Target
) -> None:
    streams = plan_streams(scenario, target)
    met = met_by(step(Kill(target="aside"), "load"), streams, scenario, target)
    assert met == ("publish",)
    copied = met_by(step(Kill(target="rcopy"), "load"), streams, scenario, target)
    assert copied == (), "no operation rests on a replica"


def test_a_fault_is_met_by_the_load_and_the_probes_that_come_by_it(
    scenario: Scenario, target: Target
) -> None:
    streams = plan_streams(scenario, target)
    redis = Kill(target="redis")
    assert met_by(step(redis), streams, scenario, target) == (
        "publish",
        "probe-front",
        "probe-direct",
    )
    refused = Refuse(target="listener -> redis")
    cut = hitting(scenario, refused)
    streams = plan_streams(cut, target)
    assert met_by(step(refused), streams, cut, target) == (
        "publish",
        "probe-front",
    ), "the direct way goes past the edge"


RING = "redis, relay, rcopy, listener"


def test_a_ring_is_met_only_by_those_who_need_what_it_cuts(
    scenario: Scenario, target: Target
) -> None:
    ring = Partition(target=RING, shape="ring")
    both = hitting(scenario, Kill(target="redis"), ring)
    streams = plan_streams(both, target)
    assert met_by(step(ring), streams, both, target) == ("probe-rcopy",), (
        "the load crosses neither cut"
    )
    whole = Partition(target=RING, shape="isolated")
    assert met_by(step(whole), streams, both, target) == ("publish", "probe-rcopy")


def test_a_dud_is_met_as_what_it_stands_for(scenario: Scenario, target: Target) -> None:
    noop = Noop(fault=Partition(target=RING, shape="ring"))
    both = hitting(scenario, Kill(target="redis"), noop)
    assert met_by(step(noop), plan_streams(both, target), both, target) == ("probe-rcopy",)
