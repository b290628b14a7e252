"""The kill: only its own exit code proves it, only a new start with a write undoes it."""

from pathlib import Path
from signal import SIGKILL, Signals
from typing import get_args

import pytest

from gameday.api.fault import Fault, Injection, Proof
from gameday.faults.lifecycle.crash_loop import CrashLoop
from gameday.faults.lifecycle.kill import AnySignal, Kill
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active


@pytest.fixture
def environment() -> MemoryEnvironment:
    target = Target(
        name="t", title="T", path=Path(), services=(ServiceSpec(name="db", kind="redis"),)
    )
    return MemoryEnvironment(target=target, clock=ManualClock())


@pytest.fixture
def db(environment: MemoryEnvironment) -> MemoryService:
    return environment.service("db")


def killed(environment: MemoryEnvironment) -> Injection:
    injection = Kill(target="db").on(environment)
    injection.inject()
    return injection


def no_checkpoint() -> None:
    return


def test_a_death_by_the_signal_is_proven(environment: MemoryEnvironment, db: MemoryService) -> None:
    proof = killed(environment).prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["exit_code"] == 137


def test_a_polite_exit_is_not_a_kill(environment: MemoryEnvironment, db: MemoryService) -> None:
    db.exit_code = 0
    proof = killed(environment).prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["exit_code"] == 0


@pytest.mark.parametrize("defect", ["starts", "answers"])
def test_what_does_not_answer_again_is_not_undone(
    environment: MemoryEnvironment, db: MemoryService, defect: str
) -> None:
    injection = killed(environment)
    injection.prove(no_checkpoint)
    setattr(db, defect, False)
    injection.undo()
    assert not injection.prove_healed(no_checkpoint).proven


def test_a_signal_that_can_be_handled_may_end_the_process_with_any_code(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.exit_code = 0
    db.catches = frozenset({Signals.SIGTERM})
    injection = Kill(target="db", signal="SIGTERM").on(environment)
    injection.inject()
    assert injection.prove(no_checkpoint).proven


def test_the_signal_can_be_chosen(environment: MemoryEnvironment, db: MemoryService) -> None:
    injection = Kill(target="db", signal="SIGTERM").on(environment)
    injection.inject()
    assert injection.prove(no_checkpoint).measured["exit_code"] == 143


def test_who_was_started_by_somebody_else_is_not_dead_any_more(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = killed(environment)
    assert injection.prove(no_checkpoint).proven
    assert is_active(injection)
    db.start_again()
    assert not is_active(injection)
    db.kill(SIGKILL)
    assert not is_active(injection), "it lived in between"


@pytest.mark.parametrize(
    "fault",
    [
        Kill(target="db"),
        Kill(target="db", signal="SIGTERM"),
        Stop(target="db"),
        Restart(target="db"),
        CrashLoop(target="db", times=2, interval_ns=MILLISECOND),
    ],
    ids=lambda fault: f"{fault.verb}-{getattr(fault, 'signal', '')}",
)
@pytest.mark.parametrize("noop", [False, True])
def test_what_is_dead_already_is_not_ended_once_more(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault, noop: bool
) -> None:
    db.kill(Signals.SIGKILL if fault.verb == "kill" else Signals.SIGTERM)
    injection = (Noop(fault=fault) if noop else fault).on(environment)
    injection.inject()
    assert not injection.prove(no_checkpoint).proven
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven


def test_every_signal_of_this_system_has_a_place() -> None:
    assert set(get_args(AnySignal)) == {number.name for number in Signals}


@pytest.mark.parametrize(
    ("signal", "why"),
    [
        ("SIGSTOP", "use pause for that"),
        ("SIGTSTP", "use pause for that"),
        ("SIGCONT", "no effect"),
        ("SIGCHLD", "no effect"),
    ],
)
def test_signals_of_which_nothing_could_be_proven_are_refused(signal: AnySignal, why: str) -> None:
    with pytest.raises(ValueError, match=f"^signal: .*{why}"):
        Kill(target="db", signal=signal)


def test_a_death_by_a_signal_that_is_not_handled_has_its_exit_code(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    fault = Kill(target="db", signal="SIGHUP")
    injection, proof = sent(fault, environment)
    assert (proof.proven, proof.measured["exit_code"]) == (True, 129)
    assert healed(injection)
    db.exit_code = 1
    assert not sent(fault, environment)[1].proven


def test_who_handles_a_signal_and_lives_on_has_taken_it_and_is_let_be(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.catches = db.shrugs_off = frozenset({Signals.SIGHUP})
    injection, proof = sent(Kill(target="db", signal="SIGHUP"), environment)
    assert (proof.proven, proof.measured["handling"]) == (True, "caught")
    assert proof.measured["alive"] is True
    assert healed(injection)
    assert db.process_state().pid == proof.measured["pid"], "reloading is no reason to end it"


@pytest.mark.parametrize("defect", ["default", "ignored", "waiting", "SIGTERM"])
def test_who_lives_on_without_having_taken_the_signal_disproves_the_kill(
    environment: MemoryEnvironment, db: MemoryService, defect: str
) -> None:
    number = Signals.SIGTERM if defect == "SIGTERM" else Signals.SIGHUP
    db.shrugs_off = frozenset({number})
    db.catches = frozenset() if defect == "default" else db.shrugs_off
    if defect == "ignored":
        db.catches, db.ignores = frozenset(), db.shrugs_off
    db.takes = defect != "waiting"
    fault = Kill(target="db", signal="SIGTERM" if defect == "SIGTERM" else "SIGHUP")
    injection, proof = sent(fault, environment)
    assert not proof.proven, proof.measured
    db.takes = True
    assert healed(injection)


def test_a_handler_alone_is_no_signal(environment: MemoryEnvironment, db: MemoryService) -> None:
    db.catches = db.shrugs_off = frozenset({Signals.SIGHUP})
    assert not sent(Noop(fault=Kill(target="db", signal="SIGHUP")), environment)[1].proven


def sent(fault: Fault, environment: MemoryEnvironment) -> tuple[Injection, Proof]:
    injection = fault.on(environment)
    injection.inject()
    return injection, injection.prove(no_checkpoint)


def healed(injection: Injection) -> bool:
    injection.undo()
    return injection.prove_healed(no_checkpoint).proven
