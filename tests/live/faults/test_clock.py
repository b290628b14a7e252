"""A service's wall clock jumps, or runs at another rate, and is right again."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.api.environment import Environment, Features
from gameday.api.fault import Fault, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.clock import ClockDrift, ClockOffset
from gameday.faults.timing import until
from gameday.model.clock import MILLISECOND, MINUTE, SECOND, MonotonicClock
from gameday.model.scenario import ServiceSpec, Target

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

FAULTS: list[Fault] = [
    ClockOffset(target="redis", offset_ns=5 * MINUTE),
    ClockOffset(target="postgres", offset_ns=-(5 * MINUTE)),
    ClockOffset(target="rcopy", offset_ns=5 * MINUTE),
    ClockOffset(target="pcopy", offset_ns=-(5 * MINUTE)),
    ClockOffset(target="relay", offset_ns=-SECOND),
    ClockDrift(target="redis", rate=1.1),
    ClockDrift(target="postgres", rate=0.5),
    ClockDrift(target="rcopy", rate=0.9),
    ClockDrift(target="pcopy", rate=1.2),
    ClockDrift(target="relay", rate=1.5),
]


@pytest.fixture(scope="module")
def system() -> Target:
    return Target(
        name="clocks",
        title="Services that tell their time",
        path=Path(),
        services=(
            ServiceSpec(name="redis", kind="redis"),
            ServiceSpec(name="bystander", kind="redis"),
            ServiceSpec(name="postgres", kind="postgres"),
            ServiceSpec(name="rcopy", kind="redis-replica", needs=("redis",)),
            ServiceSpec(name="pcopy", kind="postgres-replica", needs=("postgres",)),
            ServiceSpec(name="relay", kind="app", program="apps.relay", needs=("redis",)),
        ),
    )


@pytest.fixture(scope="module")
def features() -> Features:
    return Features(clocks=frozenset({"redis", "rcopy", "postgres", "pcopy", "relay"}))


def name(fault: Fault) -> str:
    return f"{fault.verb}-{fault.target}"


def ahead_ns(environment: Environment, service: str) -> int:
    clock = environment.service(service)
    least, most = clock.read_clock().ahead_ns
    return (least + most) // 2


@pytest.mark.full
@pytest.mark.parametrize("service", ["redis", "rcopy", "postgres", "pcopy", "relay"])
def test_a_clock_that_nobody_touched_is_right(environment: Environment, service: str) -> None:
    assert abs(ahead_ns(environment, service)) < 50 * MILLISECOND


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_clock_fault_moves_the_clock_as_asked_and_is_undone(
    through: Through, environment: Environment, fault: Fault
) -> None:
    through(fault)
    assert abs(ahead_ns(environment, fault.target)) < 50 * MILLISECOND


@pytest.mark.sample("process-clock-drift-relay")
@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[3], FAULTS[-1]], ids=name)
def test_a_clock_that_was_left_alone_is_not_proven_wrong(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.sample("process")
def test_a_wrong_clock_survives_a_restart_and_does_not_pass_for_right(
    environment: Environment,
) -> None:
    redis = environment.service("redis")
    injection = ClockOffset(target="redis", offset_ns=5 * MINUTE).on(environment)
    injection.inject()
    try:
        redis.kill(signal.SIGKILL)
        assert until(MonotonicClock(), lambda: not redis.process_state().alive, 5 * SECOND)
        redis.start_again()
        environment.service("redis").wait_until_ready(10 * SECOND, lambda: None)
        assert injection.prove(lambda: None).proven
        assert not injection.prove_healed(lambda: None).proven
    finally:
        injection.undo()
    assert injection.prove_healed(lambda: None).proven


@pytest.mark.full
def test_the_clock_of_a_dead_service_is_set_right_for_its_next_start(
    environment: Environment,
) -> None:
    redis = environment.service("redis")
    injection = ClockOffset(target="redis", offset_ns=5 * MINUTE).on(environment)
    injection.inject()
    try:
        redis.kill(signal.SIGKILL)
        assert until(MonotonicClock(), lambda: not redis.process_state().alive, 5 * SECOND)
    finally:
        injection.undo()
    redis.start_again()
    environment.service("redis").wait_until_ready(10 * SECOND, lambda: None)
    assert injection.prove_healed(lambda: None).proven


@pytest.mark.sample("process")
def test_a_service_that_was_started_with_the_clock_of_its_host_is_refused(
    environment: Environment,
) -> None:
    with pytest.raises(EnvironmentRefused, match="bystander uses the clock of its host"):
        ClockOffset(target="bystander", offset_ns=SECOND).on(environment)
