"""The crash loop: each death by its exit code, each start a new one, as often as asked for."""

import pytest

from gameday.api.fault import Fault, Injection
from gameday.faults.lifecycle.crash_loop import CrashLoop
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.environments import MemoryEnvironment, MemoryService

LOOP = CrashLoop(target="db", times=3, interval_ns=2 * MILLISECOND)


def no_checkpoint() -> None:
    return


def injected(environment: MemoryEnvironment, fault: Fault = LOOP) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def test_every_death_and_every_start_is_recorded(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment)
    proof = injection.prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["exit_codes"] == "137 137 137"
    assert {"death_3_ns", "start_3_ns"} <= proof.measured.keys()
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven
    assert db.process_state().pid == 103, "three starts, none of them by the undo"


def test_a_survivor_is_not_proven(environment: MemoryEnvironment, db: MemoryService) -> None:
    db.survives_signals = True
    proof = injected(environment).prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["deaths"] == 0


def test_a_death_by_something_else_is_not_proven(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.exit_code = 1
    assert not injected(environment).prove(no_checkpoint).proven


def test_a_service_that_cannot_start_crashes_once(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.starts = False
    injection = injected(environment)
    proof = injection.prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["deaths"] == 1
    injection.undo()
    assert not injection.prove_healed(no_checkpoint).proven


def test_a_death_that_comes_much_too_late_is_not_the_interval_asked_for(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.kill_takes_ns = SECOND
    assert not injected(environment).prove(no_checkpoint).proven


def test_an_interrupted_loop_is_undone(environment: MemoryEnvironment, db: MemoryService) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    injection = injected(environment)
    with pytest.raises(KeyboardInterrupt):
        injection.prove(interrupt)
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven


@pytest.mark.parametrize(
    ("times", "interval_ns", "wrong"),
    [
        (1, 1, "one is a kill"),
        (21, 1, "wanted 2 to 20"),
        (4, 8 * SECOND, "interval: wanted at most 30 s in all, and 4 of these are 32 s"),
    ],
)
def test_a_loop_has_bounds(times: int, interval_ns: int, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        CrashLoop(target="db", times=times, interval_ns=interval_ns)
