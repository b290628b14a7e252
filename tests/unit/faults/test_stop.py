"""The stop and the restart: an end within the grace, or forced after it, and a new start."""

from dataclasses import dataclass
from signal import Signals

import pytest

from gameday.api.fault import Fault, Injection, Lasting, Watchful
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.faults.noop import Noop
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

GRACE_NS = 5 * MILLISECOND
BOTH = pytest.mark.parametrize(
    "fault", [Stop(target="db", grace_ns=GRACE_NS), Restart(target="db", grace_ns=GRACE_NS)]
)


def no_checkpoint() -> None:
    return


def injected(environment: MemoryEnvironment, fault: Fault) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


@BOTH
def test_an_end_within_the_grace_is_proven(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    db.exit_code = 0
    proof = injected(environment, fault).prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["exit_code"] == 0
    assert proof.measured["grace_ran_out"] is False


@BOTH
def test_who_shrugs_off_sigterm_is_forced_after_the_grace(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    db.shrugs_off = frozenset({Signals.SIGTERM})
    proof = injected(environment, fault).prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["exit_code"] == 137
    assert proof.measured["grace_ran_out"] is True


@BOTH
def test_a_sigkill_that_nobody_sent_is_not_a_stop(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    db.exit_code = 137
    assert not injected(environment, fault).prove(no_checkpoint).proven


@BOTH
def test_what_survives_even_the_force_is_not_proven(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    db.survives_signals = True
    assert not injected(environment, fault).prove(no_checkpoint).proven


@BOTH
def test_a_dud_is_found_out_and_neither_waited_for_nor_forced(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    injection = injected(environment, Noop(fault=fault))
    assert not injection.prove(no_checkpoint).proven
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven, "nothing was broken, so nothing is left"
    assert db.process_state().pid == 100


def test_a_stopped_service_stays_down_until_the_undo(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment, Stop(target="db"))
    injection.prove(no_checkpoint)
    assert not db.process_state().alive
    injection.undo()
    proof = injection.prove_healed(no_checkpoint)
    assert proof.proven
    assert proof.measured["started_before"] != proof.measured["started_after"]


def test_a_restarted_service_is_up_before_the_undo(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment, Restart(target="db"))
    proof = injection.prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["started_before"] != proof.measured["started_after"]
    assert db.process_state().alive
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven
    assert db.process_state().pid == 101, "the undo of a restart that worked starts nothing"


def test_a_restart_without_a_new_start_is_not_proven(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.starts = False
    assert not injected(environment, Restart(target="db")).prove(no_checkpoint).proven


@BOTH
@pytest.mark.parametrize("defect", ["starts", "answers"])
def test_what_does_not_answer_again_is_not_undone(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault, defect: str
) -> None:
    injection = injected(environment, fault)
    setattr(db, defect, False)
    injection.prove(no_checkpoint)
    injection.undo()
    assert not injection.prove_healed(no_checkpoint).proven


def test_the_undo_of_what_was_asked_to_end_does_not_leave_it_about_to_end(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.shrugs_off = frozenset({Signals.SIGTERM})
    injection = injected(environment, Stop(target="db", grace_ns=10 * SECOND))
    injection.undo()  # the run was interrupted within the grace
    assert db.process_state().pid == 101
    assert injection.prove_healed(no_checkpoint).proven


def test_an_undo_that_comes_before_the_proof_is_proven(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment, Stop(target="db"))
    injection.undo()
    injection.undo()
    assert injection.prove_healed(no_checkpoint).proven


@BOTH
def test_the_old_start_cannot_pass_for_the_new_one(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    injection.prove(no_checkpoint)
    injection.undo()
    db._code, db._pid = None, 100
    assert not injection.prove_healed(no_checkpoint).proven


@BOTH
def test_the_signal_can_be_chosen(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    chosen = type(fault)(target="db", signal="SIGINT")  # type: ignore[call-arg]
    proof = injected(environment, chosen).prove(no_checkpoint)
    assert proof.measured["exit_code"] == 130


@pytest.mark.parametrize("kind", [Stop, Restart])
def test_a_grace_has_a_bound(kind: type[Stop | Restart]) -> None:
    with pytest.raises(ValueError, match="grace: wanted at most 30 s"):
        kind(target="db", grace_ns=31 * SECOND)


def test_who_was_started_by_somebody_else_is_not_stopped_any_more(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment, Stop(target="db", grace_ns=GRACE_NS))
    assert injection.prove(no_checkpoint).proven
    assert is_active(injection)
    db.start_again()
    assert not is_active(injection)


def test_a_restart_is_over_by_itself(environment: MemoryEnvironment) -> None:
    injection = injected(environment, Restart(target="db", grace_ns=GRACE_NS))
    assert not isinstance(injection, Lasting)


@BOTH
def test_a_service_is_asked_to_end_by_the_signal_of_its_kind(
    environment: MemoryEnvironment, db: MemoryService, fault: Fault
) -> None:
    db.end_signal = Signals.SIGINT
    injection = injected(environment, fault)
    assert injection.asked["signal"] == "SIGINT"
    assert injection.prove(no_checkpoint).measured["exit_code"] == 130


@pytest.mark.parametrize("kind", [Kill, Stop])
def test_who_takes_the_port_of_what_is_down_has_ended_the_fault(
    environment: MemoryEnvironment, db: MemoryService, kind: type[Kill | Stop]
) -> None:
    injection = injected(environment, kind(target="db"))
    assert injection.prove(no_checkpoint).proven
    assert isinstance(injection, Watchful)
    assert injection.lapse() == ""
    db.port_taken_by = "process 7 (redis-server)"
    assert injection.lapse() == "process 7 (redis-server) listened on the port of db"
    assert not is_active(injection)


@dataclass(slots=True, kw_only=True)
class Impersonated(MemoryService):
    """A service whose port nobody can look at, as in docker, and which others may answer for."""

    answered: bool = False

    def stranger(self) -> None:
        """Nobody can tell."""

    def check(self) -> str:
        return "a write was answered" if self.answered else MemoryService.check(self)


def test_what_is_down_and_answers_has_not_stayed_down(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    other = Impersonated(spec=db.spec, clock=db.clock)
    environment.services["db"] = other
    injection = injected(environment, Stop(target="db"))
    assert injection.prove(no_checkpoint).proven
    assert is_active(injection)
    other.answered = True
    assert not is_active(injection)
