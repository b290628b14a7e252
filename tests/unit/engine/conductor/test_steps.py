"""The nine steps of a run that goes as it should, in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gameday.model.event import (
    EffectProven,
    FaultInjected,
    FaultUndone,
    Phase,
    PhaseEntered,
    Progress,
    ServiceUp,
    UndoProven,
    UndoRecorded,
)
from gameday.model.verdict import Verdict

if TYPE_CHECKING:
    from tests.unit.engine.conductor.conftest import Rehearsal


def test_a_run_takes_the_nine_steps_in_their_order(rehearsal: Rehearsal) -> None:
    result = rehearsal.run()
    assert rehearsal.listening.phases == list(Phase)
    assert rehearsal.supervisor.phases == list(Phase)
    assert list(result.phases) == list(Phase)
    ends = [window.end_ns for window in result.phases.values()]
    starts = [window.start_ns for window in result.phases.values()]
    assert starts[1:] == ends[:-1], "each ends where the next begins"
    assert rehearsal.listening.results == [result]


def test_a_fault_passes_its_proof_chain_in_the_step_it_belongs_to(rehearsal: Rehearsal) -> None:
    rehearsal.run()
    chain = (ServiceUp, UndoRecorded, FaultInjected, EffectProven, FaultUndone, UndoProven)
    told = [event for event in rehearsal.listening.events if isinstance(event, chain)]
    assert [(type(event), event.phase) for event in told] == [
        (ServiceUp, Phase.START),
        (UndoRecorded, Phase.BREAK),
        (FaultInjected, Phase.BREAK),
        (EffectProven, Phase.BREAK),
        (FaultUndone, Phase.BREAK),
        (UndoProven, Phase.BREAK),
    ]
    states = [json.loads(line)["state"] for line in (rehearsal.folder / "undo.jsonl").open()]
    assert states == ["will inject", "undone"]


def test_what_happened_is_measured_and_judged(rehearsal: Rehearsal) -> None:
    result = rehearsal.run()
    assert result.verdict is Verdict.PASS, result.reason
    (fault,) = result.faults
    assert (fault.proven, fault.undone, fault.active_at_end) == (True, True, True)
    assert fault.met is not None
    assert 95 <= fault.met <= 105, "of 100 a second, those of its second"
    found = {finding.name: finding for finding in result.findings}
    assert found["lost"].value == 0
    assert len(rehearsal.records) == 1, "the final read is kept as evidence"
    availability = found["availability"].value
    assert availability is not None
    assert availability < 0.9


def test_everything_is_healed_and_ended(rehearsal: Rehearsal) -> None:
    result = rehearsal.run()
    rehearsal.assert_clean()
    assert result.clean == ()
    assert rehearsal.conductor is not None
    assert rehearsal.conductor.clean == ()


def test_progress_is_told_from_the_baseline_to_the_recovery(rehearsal: Rehearsal) -> None:
    rehearsal.run()
    seen = [event.phase for event in rehearsal.listening.events if isinstance(event, Progress)]
    assert list(dict.fromkeys(seen)) == [Phase.BASELINE, Phase.BREAK, Phase.RECOVER]


def test_the_environment_is_down_before_the_run_is_judged(rehearsal: Rehearsal) -> None:
    up: list[bool] = []
    rehearsal.listening.as_it_enters = {
        phase: lambda: up.append(rehearsal.environment.up) for phase in (Phase.SETTLE, Phase.JUDGE)
    }
    rehearsal.run()
    assert up == [True, False]


def test_a_result_lies_with_the_supervisor_before_anything_is_started(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.listening.as_it_enters[Phase.START] = lambda: drafts.append(
        rehearsal.supervisor.draft
    )
    drafts: list[str] = []
    rehearsal.run()
    assert json.loads(drafts[0])["verdict"] == "ERROR"


def test_a_baseline_that_is_late_is_waited_for(rehearsal: Rehearsal) -> None:
    began_ns = rehearsal.clock.now_ns()
    rehearsal.load.answers = lambda: rehearsal.clock.now_ns() - began_ns > 1_500_000_000
    rehearsal.store.survives_signals = True
    result = rehearsal.run()
    assert "not steady yet" in rehearsal.listening.notes
    assert Phase.BREAK in rehearsal.listening.phases
    assert result.phases[Phase.BASELINE].end_ns - result.phases[Phase.BASELINE].start_ns > 2 * 10**9


def test_the_counters_are_read_around_the_load_and_before_anything_is_broken(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.run()
    assert rehearsal.bypass.calls == [
        *("rest", "begin", "end baseline", "stop", "rest", "rest", "read counters", "stop")
    ]


def test_what_bypassed_a_fault_makes_the_run_invalid(rehearsal: Rehearsal) -> None:
    rehearsal.went_around = ("7 requests went around the proxy",)
    result = rehearsal.run()
    assert result.verdict is Verdict.INVALID
    assert result.reason == "7 requests went around the proxy."


def test_the_next_phase_is_told_as_it_begins(rehearsal: Rehearsal) -> None:
    result = rehearsal.run()
    entered = [e for e in rehearsal.listening.events if isinstance(e, PhaseEntered)]
    assert [e.at_ns for e in entered] == [window.start_ns for window in result.phases.values()]
