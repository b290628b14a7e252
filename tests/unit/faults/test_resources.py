"""Resource faults: not as tight or greedy as asked is not proven; what stays is found."""

import os
from collections.abc import Callable
from typing import cast

import pytest

from gameday.api.bounds import Resource
from gameday.api.fault import Fault, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.noop import Noop
from gameday.faults.resources import (
    CpuBurn,
    CpuLimit,
    MemoryBurn,
    MemoryLimit,
    PidsLimit,
    cpu,
    memory,
)
from gameday.testing.bounds import BoundedService
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

MIB = 1024 * 1024
LIMITS: list[Fault] = [
    CpuLimit(target="db", cores=0.1),
    MemoryLimit(target="db", limit_bytes=64 * MIB),
    PidsLimit(target="db", free=8),
]
BURNS: list[Fault] = [
    CpuBurn(target="db", workers=2),
    MemoryBurn(target="db", size_bytes=64 * MIB),
]
OOM = MemoryBurn(target="db", size_bytes=64 * MIB, until="oom")


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch, environment: MemoryEnvironment) -> None:
    """A host of four cores, of which one is idle all the time, and a GiB of memory."""
    monkeypatch.setattr(cpu, "idle_ns", environment.clock.now_ns)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1024 * MIB)


@pytest.fixture
def db(environment: MemoryEnvironment, db: MemoryService) -> BoundedService:
    """A service whose guests hold 64 MiB together, and of whose cores 0.1 is used."""
    made = BoundedService(spec=db.spec, clock=environment.clock, stressor_holds=64 * MIB)
    made.bounds("cpu").rate = 0.1
    environment.services["db"] = made
    return made


def verb(fault: Fault) -> str:
    return f"{fault.verb} {getattr(fault, 'until', '')}".strip()


def no_checkpoint() -> None:
    return


def proof_of(environment: MemoryEnvironment, fault: Fault) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(no_checkpoint)


def resource_of(fault: Fault) -> Resource:
    return cast(Resource, fault.verb.partition("-")[0])


@pytest.mark.parametrize("fault", LIMITS, ids=verb)
@pytest.mark.parametrize("defect", ["sets", "bites"])
def test_a_limit_that_is_not_there_or_not_felt_is_not_proven(
    environment: MemoryEnvironment, db: BoundedService, fault: Fault, defect: str
) -> None:
    setattr(db.bounds(resource_of(fault)), defect, False)
    assert not proof_of(environment, fault)[1].proven


@pytest.mark.parametrize("rate", [0.05, 0.13, 1.0])
def test_a_service_that_gets_another_share_than_asked_is_not_limited(
    environment: MemoryEnvironment, db: BoundedService, rate: float
) -> None:
    db.bounds("cpu").rate = rate
    assert not proof_of(environment, LIMITS[0])[1].proven


@pytest.mark.parametrize(
    ("idle", "reached", "bites", "proven"),
    [
        (0, True, True, True),
        (0, False, True, True),
        (0, False, False, False),
        (1, True, True, False),
        (1, False, True, False),
    ],
)
def test_a_limit_that_others_leave_no_room_for_is_felt_at_moments(
    environment: MemoryEnvironment,
    db: BoundedService,
    monkeypatch: pytest.MonkeyPatch,
    idle: int,
    reached: bool,
    bites: bool,
    proven: bool,
) -> None:
    monkeypatch.setattr(cpu, "idle_ns", lambda: idle * environment.clock.now_ns())
    bounds = db.bounds("cpu")
    bounds.rate, bounds.reached, bounds.bites = 0.5, reached, bites
    proof = proof_of(environment, CpuLimit(target="db", cores=1))[1]
    assert proof.proven is proven, proof.measured
    assert not bounds.fine


@pytest.mark.parametrize(("rate", "proven"), [(0.007, False), (0.01, True), (0.013, False)])
def test_a_narrow_limit_is_as_exact_as_a_wide_one(
    environment: MemoryEnvironment, db: BoundedService, rate: float, proven: bool
) -> None:
    db.bounds("cpu").rate = rate
    assert proof_of(environment, CpuLimit(target="db", cores=0.01))[1].proven is proven


@pytest.mark.parametrize("fault", LIMITS, ids=verb)
@pytest.mark.parametrize("defect", ["gives_back", "refuses_release"])
def test_a_limit_that_stays_is_not_undone(
    environment: MemoryEnvironment, db: BoundedService, fault: Fault, defect: str
) -> None:
    made, _ = proof_of(environment, fault)
    bounds = db.bounds(resource_of(fault))
    setattr(bounds, defect, defect == "refuses_release")
    made.undo()
    assert not made.prove_healed(no_checkpoint).proven


@pytest.mark.parametrize("fault", BURNS, ids=verb)
def test_a_guest_that_stays_is_not_undone(
    environment: MemoryEnvironment, db: BoundedService, fault: Fault
) -> None:
    db.stressors_end = False
    made, _ = proof_of(environment, fault)
    made.undo()
    assert not made.prove_healed(no_checkpoint).proven


@pytest.mark.parametrize(
    ("gets", "waits", "proven"),
    [(1.0, 0.0, True), (0.4, 0.6, True), (0.1, 0.9, False), (0.6, 0.0, False), (1.2, 0.0, False)],
)
def test_a_burn_counts_what_it_gets_and_what_it_waits_for(
    environment: MemoryEnvironment, db: BoundedService, gets: float, waits: float, proven: bool
) -> None:
    db.gets, db.waits = gets, waits
    assert proof_of(environment, BURNS[0])[1].proven is proven


@pytest.mark.parametrize(
    ("size", "holds", "proven"),
    [
        (8, 7, False),
        (8, 8, True),
        (8, 10, True),
        (8, 11, False),
        (64, 60, False),
        (64, 61, True),
        (64, 69, True),
        (64, 70, False),
    ],
)
def test_memory_is_held_within_5_percent_and_what_holds_it_weighs_2_mib_at_most(
    environment: MemoryEnvironment, db: BoundedService, size: int, holds: int, proven: bool
) -> None:
    db.stressor_holds = holds * MIB
    burn = MemoryBurn(target="db", size_bytes=size * MIB)
    assert proof_of(environment, burn)[1].proven is proven


@pytest.mark.parametrize("size", [8, 16, 64])
@pytest.mark.parametrize("uses", [10, 100])
def test_a_service_that_uses_much_anyway_is_no_burn(
    environment: MemoryEnvironment, db: BoundedService, size: int, uses: int
) -> None:
    db.bounds("memory").used = uses * MIB
    noop = Noop(fault=MemoryBurn(target="db", size_bytes=size * MIB))
    proof = proof_of(environment, noop)[1]
    assert not proof.proven
    assert (proof.measured["held_bytes"], proof.measured["risen_bytes"]) == (0, 0)


def test_a_service_that_dies_of_want_is_proven_and_started_again(
    environment: MemoryEnvironment, db: BoundedService
) -> None:
    db.dies_of_want = True
    made, proof = proof_of(environment, OOM)
    assert proof.proven, proof.measured
    assert proof.measured["exit_code"] == 137
    made.undo()
    undone = made.prove_healed(no_checkpoint)
    assert undone.proven, undone.measured
    assert db.process_state().alive
    assert not db.chosen


def test_a_death_that_the_kernel_does_not_put_down_to_want_is_not_proven(
    environment: MemoryEnvironment, db: BoundedService
) -> None:
    db.dies_of_want, db.bounds("memory").bites = True, False
    assert not proof_of(environment, OOM)[1].proven


REFUSALS: list[tuple[Fault, Callable[[BoundedService], None], str]] = [
    (CpuLimit(target="db", cores=4), lambda _: None, "limit nothing"),
    (MemoryLimit(target="db", limit_bytes=9 * MIB), lambda _: None, "it uses 10485760 now"),
    (MemoryLimit(target="db", limit_bytes=600 * MIB), lambda _: None, "nobody else is hurt"),
    (LIMITS[1], lambda db: setattr(db.bounds("memory"), "now", 20 * MIB), "is the limit already"),
]


@pytest.mark.parametrize(
    ("fault", "arrange", "words"), REFUSALS, ids=["cores", "used", "host", "already"]
)
def test_what_would_limit_nothing_or_hurt_others_is_refused(
    environment: MemoryEnvironment,
    db: BoundedService,
    fault: Fault,
    arrange: Callable[[BoundedService], None],
    words: str,
) -> None:
    arrange(db)
    with pytest.raises(EnvironmentRefused, match=words):
        fault.on(environment).inject()


@pytest.mark.parametrize("fault", LIMITS, ids=verb)
def test_a_service_that_nothing_bounds_is_refused(
    environment: MemoryEnvironment, fault: Fault
) -> None:
    with pytest.raises(EnvironmentRefused, match=r"^db: nothing bounds its (cpu|memory|pids) here"):
        fault.on(environment)


def test_more_memory_than_the_host_can_spare_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    burn = MemoryBurn(target="db", size_bytes=2**30)
    limit = MemoryLimit(target="db", limit_bytes=2**30)
    for spare, told in ((2**31 - 1, "half of them at most"), (2**32, "")):
        monkeypatch.setattr(memory, "available_bytes", lambda spare=spare: spare)
        for fault in (burn, limit):
            assert fault.requirements("docker").impossible.count(told), spare
            assert bool(fault.requirements("docker").impossible) is bool(told)


def test_a_limit_of_all_cores_is_no_limit() -> None:
    every = os.cpu_count() or 1
    assert "limit nothing" in CpuLimit(target="db", cores=every).requirements("process").impossible
    assert CpuLimit(target="db", cores=every / 2).requirements("process").impossible == ""


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{number}")
        for number, make in enumerate(
            (
                lambda: CpuLimit(target="db", cores=0.001),
                lambda: CpuBurn(target="db", workers=0),
                lambda: CpuBurn(target="db", load=0.01),
                lambda: MemoryLimit(target="db", limit_bytes=1),
                lambda: MemoryBurn(target="db", size_bytes=2**50),
                lambda: PidsLimit(target="db", free=7),
            )
        )
    ],
)
def test_a_value_out_of_bounds_is_refused_with_what_is_wanted(make: Callable[[], Fault]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        make()


@pytest.mark.parametrize("fault", LIMITS, ids=verb)
@pytest.mark.parametrize("now", [None, 1])
def test_a_limit_that_was_lost_or_changed_is_not_in_any_more(
    environment: MemoryEnvironment, db: BoundedService, fault: Fault, now: int | None
) -> None:
    made, proof = proof_of(environment, fault)
    assert proof.proven
    assert is_active(made)
    db.bounds(resource_of(fault)).now = now
    assert not is_active(made)


@pytest.mark.parametrize("fault", BURNS, ids=verb)
def test_a_guest_that_died_burns_no_more(
    environment: MemoryEnvironment, db: BoundedService, fault: Fault
) -> None:
    made, proof = proof_of(environment, fault)
    assert proof.proven
    assert is_active(made)
    db.stressors[0].living = False
    assert not is_active(made)


def test_a_guest_that_lets_go_of_memory_burns_no_more(
    environment: MemoryEnvironment, db: BoundedService
) -> None:
    made, _ = proof_of(environment, BURNS[1])
    db.stressor_holds = 32 * MIB
    assert not is_active(made)


def test_who_died_of_want_and_was_started_by_somebody_else_is_not_dead_any_more(
    environment: MemoryEnvironment, db: BoundedService
) -> None:
    db.dies_of_want = True
    made, proof = proof_of(environment, OOM)
    assert proof.proven
    assert is_active(made)
    db.start_again()
    assert not is_active(made)
