"""Partitions and lost packets: who reaches whom is as planned, and as before afterwards."""

import subprocess
from collections.abc import Callable

import pytest

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.api.packets import Networked
from gameday.errors import EnvironmentRefused
from gameday.faults.network import PacketLoss, Partition
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import CLIENT

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

PARTITIONS: list[Partition] = [
    Partition(target="redis | relay, listener"),
    Partition(target="relay | redis, listener", direction="in"),
    Partition(target="redis | relay", direction="out"),
    Partition(target="listener, redis, relay", shape="bridge"),
    Partition(target="listener, relay, redis", shape="bridge"),
    Partition(target="redis, relay, listener", shape="isolated"),
    Partition(target="redis, relay, listener, client", shape="ring"),
    Partition(target="client | redis, relay"),
    Partition(target="client | redis", direction="in"),
]
LOSSES: list[PacketLoss] = [
    PacketLoss(target="relay -> redis", share=0.3),
    PacketLoss(target="relay -> redis", share=0.01, stream="upstream"),
    PacketLoss(target="listener -> redis", share=0.05, stream="downstream"),
    PacketLoss(target="listener -> redis", share=1.0),
    PacketLoss(target="client -> relay", share=0.6, stream="upstream"),
]


def name(fault: Partition) -> str:
    return f"{fault.target}-{fault.shape}-{fault.direction}".replace(" ", "")


def connected(fault: Partition, environment: Environment) -> bool:
    """Whether a connection of the target leads from one side to another."""
    return any(
        {(e.client, e.service), (e.service, e.client)} & fault.pairs() for e in environment.edges
    )


@pytest.mark.sample("client|redis-groups-in")
@pytest.mark.parametrize("fault", PARTITIONS, ids=name)
def test_who_reaches_whom_is_as_planned_and_all_reach_all_again(
    environment: Environment, through: Through, fault: Partition
) -> None:
    if not isinstance(environment, Networked) and not connected(fault, environment):
        with pytest.raises(EnvironmentRefused, match="none to measure"):
            fault.on(environment)
        return
    effect, undone = through(fault)
    measured = effect.measured
    assert measured["open_connections_silent"] == measured["connections_cut"]
    services = {name for pair in fault.pairs() for name in pair} - {CLIENT}
    if isinstance(environment, Networked) and len(services) > 1:
        assert measured["pairs_silent"] == sum(CLIENT not in pair for pair in fault.pairs())
    assert undone.measured["left"] == undone.measured["out_of_reach"] == "none"


@pytest.mark.sample("redis|relay,listener-groups-both")
@pytest.mark.parametrize("fault", PARTITIONS, ids=name)
def test_what_parts_nobody_is_not_proven(
    environment: Environment, unproven: Unproven, fault: Partition
) -> None:
    if not isinstance(environment, Networked) and not connected(fault, environment):
        return
    unproven(fault)


@pytest.mark.sample("process")
def test_a_partition_that_comes_and_goes_keeps_its_times(through: Through) -> None:
    effect, undone = through(
        Partition(target="redis | relay", down_ns=600 * MILLISECOND, up_ns=900 * MILLISECOND)
    )
    assert effect.measured["changes"] == 3
    assert undone.measured["left"] == undone.measured["out_of_reach"] == "none"


def test_what_is_dropped_is_no_rule_of_the_host_and_has_the_name_of_the_run(
    environment: Environment,
) -> None:
    if not isinstance(environment, Networked):
        return
    injection = PARTITIONS[0].on(environment)
    run = environment.new_chain().split("-")[1]
    try:
        injection.inject()
        assert f"chains gameday-{run}-" in injection.undo_text
        saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
        assert "gameday" not in saved.stdout
    finally:
        injection.undo()
    assert injection.prove_healed(lambda: None).proven


@pytest.mark.full
@pytest.mark.parametrize("fault", LOSSES, ids=lambda f: f"{f.target}-{f.share}-{f.stream}")
def test_the_share_that_was_asked_for_is_lost_and_nothing_afterwards(
    environment: Environment,
    through: Through,
    impossible: Callable[[Fault], str],
    fault: PacketLoss,
) -> None:
    if not isinstance(environment, Networked):
        assert "share this host's loopback" in fault.requirements(environment.runtime).impossible
        assert "share this host's loopback" in impossible(fault)
        return
    effect, undone = through(fault)
    assert effect.measured["late"] is True
    assert undone.measured["rules_left"] == 0


@pytest.mark.sample("relay -> redis-0.3-both")
@pytest.mark.parametrize("fault", LOSSES, ids=lambda f: f"{f.target}-{f.share}-{f.stream}")
def test_where_nothing_is_lost_nothing_is_proven(
    environment: Environment, unproven: Unproven, fault: PacketLoss
) -> None:
    if not isinstance(environment, Networked):
        return
    unproven(fault)
