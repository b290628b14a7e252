"""Lost packets: proven by the share that does not arrive, by the kernel's count and the clock."""

from pathlib import Path

import pytest

from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.network import PacketLoss
from gameday.faults.noop import Noop
from gameday.model.scenario import ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.edges import EdgedEnvironment
from gameday.testing.is_active import is_active
from gameday.testing.networks import NetworkedEnvironment

EDGE = "app -> db"
LOSS = PacketLoss(target=EDGE, share=0.2)
ALL = (
    LOSS,
    PacketLoss(target=EDGE, share=0.01),
    PacketLoss(target=EDGE, share=0.5, stream="upstream"),
    PacketLoss(target=EDGE, share=0.5, stream="downstream"),
    PacketLoss(target=EDGE, share=1.0),
)
every = pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.share}-{f.stream}")


@pytest.fixture
def environment() -> NetworkedEnvironment:
    return NetworkedEnvironment(target=target(), clock=ManualClock())


def target() -> Target:
    db = ServiceSpec(name="db", kind="redis")
    app = ServiceSpec(name="app", kind="app", program="p", needs=("db",))
    return Target(name="t", title="T", path=Path(), services=(db, app))


def put(fault: PacketLoss | Noop, environment: NetworkedEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(lambda: None)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(lambda: None)


@every
@pytest.mark.parametrize("does", [0.0, 0.7])
def test_a_smaller_loss_is_not_proven(
    environment: NetworkedEnvironment, fault: PacketLoss, does: float
) -> None:
    environment.does = does
    assert not put(fault, environment)[1].proven


def test_a_larger_loss_is_not_proven(environment: NetworkedEnvironment) -> None:
    environment.does = 1.3
    assert not put(LOSS, environment)[1].proven


def test_a_loss_in_one_direction_does_not_pass_for_both(environment: NetworkedEnvironment) -> None:
    made = LOSS.on(environment)
    made.inject()
    environment.network("app").chains.clear()
    assert not made.prove(lambda: None).proven


def test_what_the_kernel_does_not_count_is_not_proven(environment: NetworkedEnvironment) -> None:
    environment.counts = False
    assert not put(LOSS, environment)[1].proven


def test_a_count_that_is_not_what_was_asked_is_not_proven(
    environment: NetworkedEnvironment,
) -> None:
    environment.miscounts = 0.5
    assert not put(LOSS, environment)[1].proven


def test_a_count_that_is_as_asked_does_not_hide_what_arrives(
    environment: NetworkedEnvironment,
) -> None:
    environment.does, environment.miscounts = 0.5, 2.0
    assert not put(LOSS, environment)[1].proven


def test_a_loss_that_delays_nobody_is_not_proven(environment: NetworkedEnvironment) -> None:
    environment.resends_at_once = True
    assert not put(LOSS, environment)[1].proven


def test_rules_that_are_there_and_do_nothing_are_not_undone(
    environment: NetworkedEnvironment,
) -> None:
    made, _ = put(LOSS, environment)
    environment.lifts = environment.works = False
    assert not healed(made).proven


@pytest.mark.parametrize("defect", ["lifts", "readable"])
def test_rules_that_stay_or_cannot_be_read_are_not_undone(
    environment: NetworkedEnvironment, defect: str
) -> None:
    made, _ = put(LOSS, environment)
    setattr(environment, defect, False)
    assert not healed(made).proven


def test_a_loss_that_outlives_its_rules_is_not_undone(environment: NetworkedEnvironment) -> None:
    made, _ = put(PacketLoss(target=EDGE, share=0.01), environment)
    environment.lingers = True
    assert not healed(made).proven


def test_a_share_that_could_not_be_told_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="share: wanted 1% to 100%"):
        PacketLoss(target=EDGE, share=0.005)


def test_what_is_for_the_harness_is_not_lost() -> None:
    with pytest.raises(ValueError, match="stream: wanted 'upstream'"):
        PacketLoss(target="client -> db", share=0.1)


def test_more_datagrams_are_sent_the_smaller_the_share_is() -> None:
    counts = [fault.datagrams for fault in (LOSS, PacketLoss(target=EDGE, share=0.01))]
    assert counts == [2_000, 26_790]
    assert PacketLoss(target=EDGE, share=0.01).within(26_790) == pytest.approx(0.002, rel=0.001)


def test_services_without_networks_of_their_own_lose_no_packets() -> None:
    assert "use docker" in LOSS.requirements("process").impossible
    assert not LOSS.requirements("docker").impossible
    edged = EdgedEnvironment(target=target(), clock=ManualClock())
    with pytest.raises(EnvironmentRefused, match="use docker"):
        LOSS.on(edged)


@every
def test_a_network_that_lost_its_rule_loses_packets_no_more(
    environment: NetworkedEnvironment, fault: PacketLoss
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven
    assert is_active(made)
    ruled = next(one for one in environment.networks.values() if one.chains)
    ruled.chains.clear()
    assert not is_active(made)
