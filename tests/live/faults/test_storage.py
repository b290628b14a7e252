"""A service's disk is full, or its data cannot be written, and all is as before afterwards."""

import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.api.environment import Environment, Service
from gameday.api.fault import Fault, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.lifecycle.remove import Remove
from gameday.faults.storage import DiskFill, ReadOnlyData
from gameday.faults.timing import until
from gameday.model.clock import SECOND, MonotonicClock
from gameday.model.scenario import ServiceSpec, Target

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

MB = 1_000_000
BLOCK = 4096
FILLS: list[Fault] = [
    DiskFill(target="redis"),
    DiskFill(target="redis", free_bytes=10 * MB),
    DiskFill(target="redis", fill=0.9),
    DiskFill(target="postgres"),
    DiskFill(target="relay"),
]
SHUTS: list[Fault] = [ReadOnlyData(target=name) for name in ("redis", "plain", "postgres", "relay")]


@pytest.fixture(scope="module")
def system() -> Target:
    persistent = {"appendonly": "yes", "appendfsync": "everysec"}
    services = (
        ServiceSpec(name="redis", kind="redis", options=persistent, disk_bytes=64 * MB),
        ServiceSpec(name="plain", kind="redis", options=persistent),
        ServiceSpec(name="postgres", kind="postgres", disk_bytes=128 * MB),
        ServiceSpec(
            name="relay", kind="app", program="apps.relay", needs=("redis",), disk_bytes=8 * MB,
        ),
    )  # fmt: skip
    return Target(name="disks", title="Services with disks", path=Path(), services=services)


def name(fault: Fault) -> str:
    left = f"-{fault.fill or fault.free_bytes}" if isinstance(fault, DiskFill) else ""
    return f"{fault.verb}-{fault.target}{left}"


def house_of(environment: Environment, service: str) -> Service:
    return environment.service(service)


def size_of(house: Service) -> int:
    ran = house.run_beside(["stat", "-f", "-c", "%S %b", house.data_folder], SECOND, user="0:0")
    block, blocks = ran.output.split()
    return int(block) * int(blocks)


@pytest.mark.full
def test_a_disk_is_as_large_as_the_target_says(environment: Environment) -> None:
    for service, size in (("redis", 64 * MB), ("postgres", 128 * MB), ("relay", 8 * MB)):
        assert size <= size_of(house_of(environment, service)) < size + BLOCK


@pytest.mark.full
@pytest.mark.parametrize("fault", FILLS, ids=name)
def test_a_full_disk_has_as_much_room_as_asked_and_later_as_before(
    through: Through, fault: Fault
) -> None:
    effect, _ = through(fault)
    assert int(effect.measured["filler_bytes"] or 0) > MB


@pytest.mark.sample("process")
def test_a_full_disk_stops_redis_from_saving(through: Through) -> None:
    effect, _ = through(DiskFill(target="redis"))
    assert "No space left" in str(effect.measured["write"])


@pytest.mark.full
@pytest.mark.parametrize("fault", SHUTS, ids=name)
def test_data_that_are_shut_cannot_be_written_and_are_opened_as_they_were(
    through: Through, fault: Fault
) -> None:
    through(fault)


@pytest.mark.sample("disk-fill-redis-0]")
@pytest.mark.parametrize("fault", [*FILLS[:2], *SHUTS[2:]], ids=name)
def test_what_does_nothing_to_a_disk_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.sample("read-only")
@pytest.mark.parametrize(
    "fault", [DiskFill(target="redis"), ReadOnlyData(target="relay")], ids=name
)
def test_a_storage_fault_that_is_still_in_is_not_undone(
    environment: Environment, fault: Fault
) -> None:
    injection = fault.on(environment)
    injection.inject()
    try:
        assert not injection.prove_healed(lambda: None).proven
    finally:
        injection.undo()
        injection.undo()
    assert injection.prove_healed(lambda: None).proven


@pytest.mark.sample("disk-fill")
@pytest.mark.parametrize("fault", [DiskFill(target="redis"), *SHUTS[1:3]], ids=name)
def test_a_storage_fault_is_undone_on_a_service_that_is_dead(
    environment: Environment, fault: Fault
) -> None:
    house = house_of(environment, fault.target)
    injection = fault.on(environment)
    injection.inject()
    try:
        assert injection.prove(lambda: None).proven
        house.kill(signal.SIGKILL)
        assert until(MonotonicClock(), lambda: not house.process_state().alive, 5 * SECOND)
    finally:
        injection.undo()
    undone = injection.prove_healed(lambda: None)
    assert undone.proven, undone.measured


def test_the_data_of_a_bounded_disk_outlive_a_kill_and_go_with_a_removal(
    environment: Environment, through: Through
) -> None:
    redis = environment.service("redis")
    assert redis.plant("survivor")
    time.sleep(1.1)  # what is synced every second
    redis.kill(signal.SIGKILL)
    assert until(MonotonicClock(), lambda: not redis.process_state().alive, 5 * SECOND)
    redis.start_again()
    environment.service("redis").wait_until_ready(10 * SECOND, lambda: None)
    assert redis.finds("survivor")
    if environment.runtime == "docker":
        _, undone = through(Remove(target="redis", volume="keep"))
    _, undone = through(Remove(target="redis", volume="drop"))
    assert undone.measured["marker_found"] is False
    assert 64 * MB <= size_of(house_of(environment, "redis")) < 64 * MB + BLOCK
    through(DiskFill(target="redis"))


def test_the_disk_of_the_host_is_never_filled(environment: Environment) -> None:
    with pytest.raises(EnvironmentRefused, match="plain is on the host's disk"):
        DiskFill(target="plain").on(environment)


def test_an_environment_goes_down_clean_with_its_storage_faults_in(
    environment: Environment,
) -> None:
    """Left to the end of the module, whose environment fixture looks for leftovers."""
    for fault in (*SHUTS, DiskFill(target="postgres")):
        fault.on(environment).inject()
    mounted = Path("/proc/self/mountinfo").read_text()
    assert environment.runtime == "docker" or tempfile.gettempdir() in mounted
