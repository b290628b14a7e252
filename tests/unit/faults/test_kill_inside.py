"""The kill inside: what matched is gone, the main process is never hit."""

import pytest

from gameday.api.environment import ChildProcess
from gameday.api.fault import Fault, Injection
from gameday.faults.lifecycle.kill_inside import KillInside
from gameday.testing.environments import MemoryEnvironment, MemoryService

KILL = KillInside(target="db", pattern="^worker")


@pytest.fixture(autouse=True)
def _inhabited(db: MemoryService) -> None:
    commands = ["worker 1", "worker 2", "the worker of another kind", "logger"]
    db.inside = tuple(
        ChildProcess(pid=200 + number, started=1.5, command=command)
        for number, command in enumerate(commands)
    )


def no_checkpoint() -> None:
    return


def injected(environment: MemoryEnvironment, fault: Fault = KILL) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def test_all_that_matched_are_gone_and_the_others_live(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment)
    proof = injection.prove(no_checkpoint)
    assert proof.proven
    assert (proof.measured["matched"], proof.measured["gone"]) == (2, 2)
    assert [child_process.pid for child_process in db.inside] == [202, 203]
    assert db.process_state().alive
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven


def test_a_survivor_is_not_proven(environment: MemoryEnvironment, db: MemoryService) -> None:
    db.inside_survives = True
    proof = injected(environment).prove(no_checkpoint)
    assert not proof.proven
    assert (proof.measured["matched"], proof.measured["gone"]) == (2, 0)


def test_a_pattern_that_nothing_matches_proves_nothing(environment: MemoryEnvironment) -> None:
    injection = injected(environment, KillInside(target="db", pattern="nobody"))
    proof = injection.prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["matched"] == 0


def test_a_number_that_another_process_has_by_now_is_gone(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment)
    db.inside = (ChildProcess(pid=200, started=9.5, command="worker 1"),)
    assert injection.prove(no_checkpoint).proven
    injection.undo()
    assert injection.prove_healed(no_checkpoint).measured["matching_after"] == 1


def test_a_service_that_ends_with_its_process_is_started_again(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.takes_main_along = True
    injection = injected(environment)
    assert injection.prove(no_checkpoint).measured["main_alive"] is False
    injection.undo()
    assert db.process_state().alive
    assert injection.prove_healed(no_checkpoint).proven


@pytest.mark.parametrize("defect", ["starts", "answers"])
def test_what_does_not_answer_again_is_not_undone(
    environment: MemoryEnvironment, db: MemoryService, defect: str
) -> None:
    db.takes_main_along = True
    injection = injected(environment)
    setattr(db, defect, False)
    injection.undo()
    assert not injection.prove_healed(no_checkpoint).proven


def test_a_pattern_must_be_a_regular_expression() -> None:
    for pattern in ("(", ""):
        with pytest.raises(ValueError, match="pattern: wanted a regular expression"):
            KillInside(target="db", pattern=pattern)
