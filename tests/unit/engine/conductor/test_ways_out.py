"""Each way out of a run heals, ends and removes everything, and its result says which it was."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest

from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused, InternalError
from gameday.model.clock import SECOND
from gameday.model.event import FaultInjected, FaultUndone, Phase
from gameday.model.result import Window
from gameday.model.scenario import Expectation, StopCondition
from gameday.model.units import parse_limit
from gameday.model.verdict import Verdict
from gameday.testing.outages import LastingOutage, OutageInjection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.engine.conductor.conftest import Rehearsal

    class Rehearse(Protocol):
        def __call__(
            self,
            kind: type[OutageInjection] = ...,
            *,
            for_ns: int = ...,
            stop: StopCondition | None = ...,
            expect: Sequence[Expectation] = ...,
        ) -> Rehearsal: ...


@pytest.fixture
def rehearse(rehearsal: Rehearsal, tmp_path: Path) -> Rehearse:
    return lambda kind=LastingOutage, **more: type(rehearsal)(tmp_path, kind, **more)


def test_nothing_is_broken_where_there_was_no_steady_state(rehearsal: Rehearsal) -> None:
    rehearsal.load.answers = lambda: False
    result = rehearsal.run()
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "there was no steady state before the fault" in result.reason
    assert rehearsal.listening.phases == [p for p in Phase if p not in (Phase.BREAK, Phase.RECOVER)]
    assert result.faults == ()
    assert not [e for e in rehearsal.listening.events if isinstance(e, FaultInjected)]
    baseline = result.phases[Phase.BASELINE]
    assert baseline.end_ns - baseline.start_ns >= rehearsal.plan.baseline_limit_ns
    rehearsal.assert_clean()


def test_a_fault_that_is_not_proven_makes_the_run_invalid(rehearsal: Rehearsal) -> None:
    rehearsal.store.survives_signals = True
    result = rehearsal.run()
    assert result.verdict is Verdict.INVALID
    assert Phase.RECOVER not in rehearsal.listening.phases
    assert [fault.proven for fault in result.faults] == [False]
    rehearsal.assert_clean()


def test_a_fault_that_ended_early_makes_the_run_invalid(rehearse: Rehearse) -> None:
    class Short(LastingOutage):
        def is_active(self) -> Proof:
            self.service.start_again()
            return super().is_active()

    rehearsal = rehearse(Short)
    result = rehearsal.run()
    assert result.verdict is Verdict.INVALID
    assert result.faults[0].active_at_end is False
    assert Phase.RECOVER not in rehearsal.listening.phases
    rehearsal.assert_clean()


def test_a_fault_that_too_few_operations_met_makes_the_run_invalid(rehearse: Rehearse) -> None:
    class Unmet(LastingOutage):
        def met(self) -> int | None:
            return 0

    rehearsal = rehearse(Unmet)
    result = rehearsal.run()
    assert result.verdict is Verdict.INVALID
    assert "only 0 operations of the load met it, 1 are required" in result.reason
    rehearsal.assert_clean()


def test_a_fault_that_is_not_healed_is_an_error(rehearsal: Rehearsal) -> None:
    rehearsal.store.starts = False
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert result.reason == "outage of store was not undone."
    assert Phase.RECOVER not in rehearsal.listening.phases
    assert not rehearsal.environment.up
    assert rehearsal.supervisor.until_ns, "it stays with the supervisor"


def test_an_undo_that_raises_is_an_error_that_is_told_once(rehearse: Rehearse) -> None:
    class Stuck(LastingOutage):
        def undo(self) -> Window:
            raise EnvironmentRefused("store cannot be started")

    rehearsal = rehearse(Stuck)
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert result.reason.splitlines()[0] == "store cannot be started."
    assert result.reason.count("cannot be started") == 1
    assert not rehearsal.environment.up


def test_a_stop_condition_undoes_the_faults_and_the_recovery_is_measured(
    rehearse: Rehearse,
) -> None:
    stop = StopCondition(success=parse_limit("< 50%"), for_ns=SECOND)
    rehearsal = rehearse(for_ns=60 * SECOND, stop=stop)
    result = rehearsal.run()
    assert result.verdict is Verdict.INCONCLUSIVE, result.reason
    assert "the run was stopped before its end" in result.reason
    assert rehearsal.listening.phases == list(Phase)
    window = result.faults[0].window
    assert window is not None
    assert window.end_ns - window.start_ns < 3 * SECOND
    rehearsal.assert_clean()


def test_what_is_left_behind_is_an_error_and_the_supervisors_to_remove(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.environment.remains = ("container abc",)
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert result.reason == "left behind: container abc."
    assert result.clean == ("container abc",)
    assert rehearsal.conductor is not None
    assert rehearsal.conductor.clean == ("container abc",)
    assert rehearsal.supervisor.ended == "abandoned"


def test_a_record_that_cannot_be_read_leaves_what_needs_it_unmeasured(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.ledger.readable = False
    result = rehearsal.run()
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the final read failed: the receiver does not answer" in rehearsal.listening.notes
    rehearsal.assert_clean()


def test_a_disk_that_cannot_keep_the_record_takes_nothing_from_what_was_measured(
    rehearsal: Rehearsal,
) -> None:
    def refuse(_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "record.csv")

    rehearsal.replace(keep_record=refuse)
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert "No space left on device" in result.reason
    assert [judgement.verdict for judgement in result.expectations] == [Verdict.PASS]
    rehearsal.assert_clean()


def test_a_run_that_cannot_be_judged_has_a_result(rehearse: Rehearse) -> None:
    limit = parse_limit("< 50%")
    rehearsal = rehearse(expect=[Expectation(name="recovery", finding="recovery", limit=limit)])
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert "which is a ratio, and it is found as a ns" in result.reason
    assert result.expectations == ()
    assert result.findings, "what was measured is there"
    rehearsal.assert_clean()


def failing(rehearsal: Rehearsal, phase: Phase, error: Exception) -> None:
    """Let a part that is used in that step raise."""

    def fail(*_: object) -> NoReturn:
        raise error

    def fail_in_that_step() -> None:
        if rehearsal.listening.phases[-1] == phase:
            raise error

    match phase:
        case Phase.START:
            rehearsal.replace(heal_abandoned=fail)
        case Phase.SETTLE:
            rehearsal.noise_meter.silent = error
        case Phase.ANALYSE:
            rehearsal.load.unreadable = error
        case Phase.JUDGE:
            rehearsal.replace(went_around=fail)
        case _:
            rehearsal.load.check = fail_in_that_step


@pytest.mark.parametrize("error", [InternalError("it has died"), RuntimeError("nobody knew")])
@pytest.mark.parametrize("phase", list(Phase)[2:])
def test_an_error_in_a_step_is_the_verdict_and_everything_is_healed(
    rehearsal: Rehearsal, phase: Phase, error: Exception
) -> None:
    failing(rehearsal, phase, error)
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert str(error) in result.reason
    last = [Phase.ANALYSE, Phase.JUDGE]
    if phase is not Phase.START:  # then there is nothing to settle
        last.insert(0, Phase.SETTLE)
    assert rehearsal.listening.phases == [p for p in Phase if p.number <= phase.number or p in last]
    told = "".join(traceback.format_exception_only(error))
    assert (told in rehearsal.listening.notes) is isinstance(error, RuntimeError), "a traceback"
    rehearsal.assert_clean()


def test_what_is_in_is_undone_before_the_load_ends(rehearsal: Rehearsal) -> None:
    def check() -> None:
        if not rehearsal.store.process_state().alive:
            raise InternalError("it has died")

    rehearsal.load.check = check
    rehearsal.run()
    (undone,) = (e for e in rehearsal.listening.events if isinstance(e, FaultUndone))
    assert undone.phase is Phase.BREAK


def test_a_proxy_that_is_silent_at_the_end_takes_nothing_from_what_was_measured(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.noise_meter.silent = EnvironmentRefused("the proxy is silent")
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert [judgement.verdict for judgement in result.expectations] == [Verdict.PASS]


@pytest.mark.parametrize("part", ["environment", "load", "noise_meter", "monitor"])
def test_a_part_that_does_not_start_leaves_nothing_of_the_others(
    rehearsal: Rehearsal, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise EnvironmentRefused(f"the {part} does not start")

    monkeypatch.setattr(type(getattr(rehearsal.equipment, part)), "start", refuse)
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert result.reason == f"the {part} does not start."
    assert result.faults == ()
    rehearsal.assert_clean()


def test_nothing_is_started_without_a_supervisor(rehearsal: Rehearsal) -> None:
    rehearsal.supervisor.gone = True
    with pytest.raises(InternalError, match="the janitor is gone"):
        rehearsal.run()
    assert rehearsal.environment.healed_when_stopped is None, "nothing was there to stop"
    assert not rehearsal.environment.up
    assert rehearsal.listening.events == []


def test_a_supervisor_that_dies_ends_the_run(rehearsal: Rehearsal) -> None:
    def die() -> None:
        rehearsal.supervisor.gone = True

    rehearsal.listening.as_it_enters[Phase.BASELINE] = die
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert result.reason == "the janitor is gone."
    assert Phase.BREAK not in rehearsal.listening.phases, "nothing is broken without it"
    rehearsal.assert_clean()


def test_a_clean_up_goes_on_whatever_one_of_its_steps_does(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise EnvironmentRefused("it cannot be killed")

    monkeypatch.setattr(type(rehearsal.load), "kill", refuse)
    monkeypatch.setattr(type(rehearsal.load), "stop", refuse)
    result = rehearsal.run()
    assert result.verdict is Verdict.ERROR
    assert result.reason == "it cannot be killed."
    assert not rehearsal.environment.up
    assert rehearsal.noise_meter.ended
    assert rehearsal.ledger.closed
    assert rehearsal.supervisor.ended == "dismissed"
