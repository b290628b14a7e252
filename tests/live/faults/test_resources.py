"""Resource faults on a real service: each bites as much as asked, and gives everything back."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gameday.api.bounds import Bounds, Resource
from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.api.mechanism import trial
from gameday.errors import EnvironmentRefused
from gameday.faults.resources import (
    CpuBurn,
    CpuLimit,
    FileDescriptors,
    IoThrottle,
    MemoryBurn,
    MemoryLimit,
    PidsLimit,
)
from gameday.faults.timing import until
from gameday.host.cgroup import cgroups_named
from gameday.model.clock import SECOND, MonotonicClock
from gameday.runtimes.mechanisms.cgroups import CPU, MEMORY, PIDS
from gameday.runtimes.mechanisms.process_limits import DESCRIPTORS
from gameday.runtimes.mechanisms.throttling import THROTTLE_IN_PROCESS
from gameday.runtimes.process import bounds as process_bounds

pytestmark = [pytest.mark.live, pytest.mark.alone]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

MIB = 1024 * 1024
OOM = MemoryBurn(target="redis", size_bytes=64 * MIB, until="oom")
FAULTS: list[Fault] = [
    CpuLimit(target="redis", cores=0.1),
    CpuLimit(target="relay", cores=0.25),
    CpuBurn(target="redis"),
    CpuBurn(target="redis", workers=2, load=0.3),
    CpuBurn(target="redis", load=0.05),
    MemoryLimit(target="redis", limit_bytes=64 * MIB),
    MemoryBurn(target="redis", size_bytes=100 * MIB),
    OOM,
    PidsLimit(target="redis", free=20),
    FileDescriptors(target="redis", free=5),
    FileDescriptors(target="relay", free=5),
    IoThrottle(target="redis", write_bytes_per_s=1_000_000),
    IoThrottle(target="redis", read_bytes_per_s=4_000_000, write_bytes_per_s=500_000),
]


def name(fault: Fault) -> str:
    more = ("cores", "load", "until", "read_bytes_per_s")
    words = [str(getattr(fault, key)) for key in more if getattr(fault, key, None)]
    return " ".join([fault.verb, fault.target, *words])


@pytest.fixture(autouse=True)
def _possible(
    environment: Environment, request: pytest.FixtureRequest, missing: Callable[[str], None]
) -> None:
    for mechanism in (
        (CPU, MEMORY, PIDS, DESCRIPTORS, THROTTLE_IN_PROCESS)
        if environment.runtime == "process"
        else ()
    ):
        tried = trial(mechanism)
        if not tried.works:
            missing(f"{mechanism.name}: {tried.seen}")


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_resource_fault_bites_as_asked_and_is_undone(
    through: Through, environment: Environment, fault: Fault
) -> None:
    before = pids_inside(environment)
    _, undone = through(fault)
    assert undone.measured.get("guests_left", 0) == 0
    # An engine takes its time to collect who was ended.
    assert until(MonotonicClock(), lambda: pids_inside(environment) <= before + 1, 5 * SECOND)


@pytest.mark.sample("process-cpu-limit redis 0.1", "docker-file-descriptors redis")
@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[2], *FAULTS[4:10], FAULTS[11]], ids=name)
def test_what_takes_nothing_from_a_service_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.full
@pytest.mark.parametrize("size", [8, 16])
def test_a_small_burn_is_proven_and_one_that_holds_nothing_is_not(
    through: Through, unproven: Unproven, size: int
) -> None:
    # A relay uses more than that by itself.
    burn = MemoryBurn(target="relay", size_bytes=size * MIB)
    through(burn)
    unproven(burn)


@pytest.mark.sample("memory-limit redis")
@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[5], *FAULTS[8:10], FAULTS[11]], ids=name)
def test_a_limit_that_is_still_in_is_not_undone(environment: Environment, fault: Fault) -> None:
    injection = fault.on(environment)
    injection.inject()
    try:
        assert not injection.prove_healed(lambda: None).proven
    finally:
        injection.undo()
    assert injection.prove_healed(lambda: None).proven


@pytest.fixture
def busy() -> Iterator[None]:
    """As many others as there are cores use all that they can get."""
    loop = ["timeout", "60", "sh", "-c", "while :; do :; done"]
    others = [subprocess.Popen(loop, start_new_session=True) for _ in range(os.cpu_count() or 1)]
    yield
    for other in others:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()


@pytest.mark.full
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core of one limits nothing")
@pytest.mark.usefixtures("busy")
def test_a_limit_of_a_whole_core_is_felt_on_a_busy_host(
    environment: Environment, through: Through, unproven: Unproven
) -> None:
    limit = CpuLimit(target="redis", cores=1.0)
    through(limit)
    assert bounds_of(environment, "cpu").limit() is None
    unproven(limit)


def test_two_limits_of_one_service_are_given_back_in_any_order(environment: Environment) -> None:
    first = CpuLimit(target="redis", cores=0.2).on(environment)
    second = PidsLimit(target="redis", free=20).on(environment)
    try:
        first.inject()
        second.inject()
    finally:
        first.undo()
        assert first.prove_healed(lambda: None).proven
        still = bounds_of(environment, "pids").limit()
        second.undo()
        assert second.prove_healed(lambda: None).proven
    assert still is not None


@pytest.mark.sample("process")
def test_where_no_group_can_be_made_a_service_is_stopped_most_of_the_time(
    environment: Environment, through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment.runtime != "process":
        pytest.skip("the engine always can")
    monkeypatch.setattr(process_bounds, "may_have_cgroups", lambda _: False)
    effect, undone = through(CpuLimit(target="redis", cores=0.3))
    assert effect.measured["mechanism"] == "duty cycle"
    assert undone.measured["left"] == "nothing"


@pytest.mark.sample("process")
@pytest.mark.parametrize(
    "fault", [FAULTS[5], OOM, FAULTS[8], FAULTS[11]], ids=lambda fault: fault.verb
)
def test_where_no_group_can_be_made_nothing_stands_in_for_the_kernel(
    environment: Environment, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment.runtime != "process":
        pytest.skip("the engine always can")
    monkeypatch.setattr(process_bounds, "may_have_cgroups", lambda _: False)
    with pytest.raises(EnvironmentRefused, match=r"no control group for .* can be made"):
        fault.on(environment)


@pytest.mark.sample("process")
def test_where_no_group_can_be_made_memory_is_burned_without_a_limit(
    environment: Environment,
    through: Through,
    unproven: Unproven,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if environment.runtime != "process":
        pytest.skip("the engine always can")
    monkeypatch.setattr(process_bounds, "may_have_cgroups", lambda _: False)
    burn = MemoryBurn(target="redis", size_bytes=64 * MIB)
    through(burn)
    unproven(burn)


@pytest.mark.full
def test_a_limit_that_a_successor_was_made_with_is_seen_and_given_back(
    environment: Environment,
) -> None:
    service = environment.service("redis")
    limit = CpuLimit(target="redis", cores=0.2).on(environment)
    before = bounds_of(environment, "cpu").limit()
    try:
        limit.inject()
        service.remove(keep_data=False)
        service.start_again()
        service.wait_until_ready(20 * SECOND, lambda: None)
        assert not limit.prove_healed(lambda: None).proven
    finally:
        limit.undo()
    assert limit.prove_healed(lambda: None).proven
    assert bounds_of(environment, "cpu").limit() == before


def test_who_was_to_die_first_is_given_back_the_score_of_before(environment: Environment) -> None:
    house = environment.service("redis")
    score = Path(f"/proc/{house.process_state().pid}/oom_score_adj")
    before = score.read_text()
    score.write_text("300")
    try:
        house.first_to_die(True)
        assert int(score.read_text()) == 1000
        house.first_to_die(False)
        assert int(score.read_text()) == 300
    finally:
        score.write_text(before)


def test_a_limit_below_what_is_in_use_is_refused_and_changes_nothing(
    environment: Environment,
) -> None:
    burn = MemoryBurn(target="redis", size_bytes=64 * MIB).on(environment)
    burn.inject()
    try:
        assert burn.prove(lambda: None).proven
        squeeze = MemoryLimit(target="redis", limit_bytes=32 * MIB).on(environment)
        with pytest.raises(EnvironmentRefused, match="and it uses"):
            squeeze.inject()
        squeeze.undo()
        assert squeeze.prove_healed(lambda: None).proven
    finally:
        burn.undo()
    assert burn.prove_healed(lambda: None).proven


def test_no_group_outlives_its_fault() -> None:
    assert not [path for path in cgroups_named("gameday-") if not any(path.glob("*/cgroup.procs"))]


def bounds_of(environment: Environment, resource: Resource) -> Bounds:
    house = environment.service("redis")
    return house.bounds(resource)


def pids_inside(environment: Environment) -> int:
    """Return how many processes the kernel counts in the container, zombies too."""
    if environment.runtime == "process":
        return 0
    return bounds_of(environment, "pids").usage()
