"""A signal in any step heals and removes everything, leaves a result, and is raised again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from gameday.engine.interrupts import Interrupted
from gameday.model.clock import SECOND
from gameday.model.event import FaultInjected, Note, Phase, UndoProven
from gameday.model.verdict import Verdict

if TYPE_CHECKING:
    from tests.unit.engine.conductor.conftest import Rehearsal

    from gameday.model.event import Event


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", list(Phase)[:7])
def test_a_signal_ends_the_run_in_the_step_it_comes_in(
    rehearsal: Rehearsal, phase: Phase, number: signal.Signals
) -> None:
    rehearsal.listening.as_it_enters[phase] = lambda: signal.raise_signal(number)
    with pytest.raises(Interrupted, match=f"stopped by {number.name}"):
        rehearsal.run()
    result = rehearsal.result
    assert result.verdict is Verdict.ERROR
    stopped_in = max(phase, Phase.START, key=lambda p: p.number)  # the first that waits
    assert result.reason == f"interrupted by {number.name} during {stopped_in}."
    assert rehearsal.listening.phases[-1] == stopped_in
    assert result.expectations == (), "nothing is judged"
    window = result.phases[stopped_in]
    assert window.end_ns - window.start_ns < SECOND, "it goes on no longer"
    assert f"stopped by {number.name}; nothing is left" in rehearsal.listening.notes
    rehearsal.assert_clean()


def test_a_signal_while_a_fault_is_in_undoes_it(rehearsal: Rehearsal) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, FaultInjected):
            signal.raise_signal(signal.SIGTERM)

    rehearsal.listening.also.append(interrupt)
    with pytest.raises(Interrupted):
        rehearsal.run()
    (fault,) = rehearsal.result.faults
    assert (fault.proven, fault.undone) == (False, True)
    assert [e.proven for e in rehearsal.listening.events if isinstance(e, UndoProven)] == [True]
    rehearsal.assert_clean()


@pytest.mark.parametrize("phase", [Phase.ANALYSE, Phase.JUDGE])
def test_a_signal_after_the_clean_up_ends_the_session_and_leaves_the_verdict(
    rehearsal: Rehearsal, phase: Phase
) -> None:
    rehearsal.listening.as_it_enters[phase] = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        rehearsal.run()
    assert rehearsal.result.verdict is Verdict.PASS
    rehearsal.assert_clean()


def test_the_handlers_of_before_are_back(rehearsal: Rehearsal) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    rehearsal.run()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


class TimeLimit(BaseException):
    """What a plugin raises to end a test."""


@pytest.mark.parametrize("phase", [Phase.BASELINE, Phase.BREAK, Phase.RECOVER])
def test_what_somebody_else_ends_a_run_with_is_raised_again(
    rehearsal: Rehearsal, phase: Phase
) -> None:
    def check() -> None:
        if rehearsal.listening.phases[-1] == phase:
            raise TimeLimit("it took too long")

    rehearsal.load.check = check
    with pytest.raises(TimeLimit):
        rehearsal.run()
    assert rehearsal.result.reason == f"interrupted during {phase}: it took too long."
    rehearsal.assert_clean()


def test_what_is_left_after_a_signal_is_told(rehearsal: Rehearsal) -> None:
    rehearsal.environment.remains = ("container abc",)
    rehearsal.listening.as_it_enters[Phase.BREAK] = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        rehearsal.run()
    assert "left behind: container abc" in rehearsal.result.reason
    assert rehearsal.supervisor.ended == "abandoned"
    assert any(
        isinstance(event, Note) and event.text == "stopped by SIGINT; container abc"
        for event in rehearsal.listening.events
    )
