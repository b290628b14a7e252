"""Step 5: every fault comes and goes at its time; its undo is recorded before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gameday.api.environment import NotReadyError
from gameday.errors import EnvironmentRefused, InternalError
from gameday.model.clock import SECOND
from gameday.model.event import FaultInjected, UndoProven, UndoRecorded
from gameday.model.result import Window
from gameday.testing.outages import OutageInjection

if TYPE_CHECKING:
    from tests.unit.engine.conftest import SetUp, Stage


def test_faults_come_and_go_at_their_times(stage: Stage) -> None:
    assert stage.play()
    first, second = stage.injector.times()
    assert first.injected.start_ns == stage.start_ns
    assert second.injected.start_ns == stage.start_ns + SECOND
    assert first.undone is not None
    assert first.undone.start_ns == first.injected.end_ns + 2 * SECOND


def test_the_undo_is_on_disk_before_the_fault_is_in(set_up: SetUp) -> None:
    seen: list[str] = []

    class Looking(OutageInjection):
        def inject(self) -> Window:
            seen.append(stage.file.read_text())
            return super().inject()

    stage = set_up(Looking)
    stage.play()
    assert json.loads(seen[0])["undo"] == "start a again"


def test_a_fault_without_proof_stops_the_play(stage: Stage) -> None:
    stage.environment.service("a").survives_signals = True
    assert not stage.play()
    assert stage.alive("b"), "nothing more is broken"
    assert len(stage.injector.times()) == 1


def test_nothing_more_is_broken_once_something_is_not_proven_gone(set_up: SetUp) -> None:
    stage = set_up(later_ns=5 * SECOND)
    stage.environment.service("a").starts = False
    assert not stage.play()
    assert stage.alive("b")
    assert len(stage.injector.times()) == 1


def test_an_interrupted_play_is_healed(stage: Stage) -> None:
    def stop(_: int) -> None:
        if stage.injector.times():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(stop, 0, lambda: None)
    assert not stage.alive("a")
    stage.injector.heal()
    assert stage.alive("a")


def test_a_service_that_does_not_answer_is_told_with_the_fault_that_wanted_it(
    set_up: SetUp,
) -> None:
    class Unanswered(OutageInjection):
        def inject(self) -> Window:
            raise NotReadyError("Redis at b: connection refused")

    stage = set_up(second=Unanswered)
    with pytest.raises(
        EnvironmentRefused, match="outage of b could not be injected: Redis at b: conn"
    ):
        stage.play()
    stage.injector.heal()
    assert stage.alive("a")


def test_each_event_counts_from_the_start_of_the_run(stage: Stage) -> None:
    stage.play()
    recorded, injected = stage.told(UndoRecorded)[0], stage.told(FaultInjected)[0]
    assert recorded.at_ns == 0
    assert isinstance(injected, FaultInjected)
    assert 0 == injected.called_ns < injected.returned_ns < SECOND
    assert injected.asked == {"for_ns": 2 * SECOND, "exposure": 2}


def test_a_fault_is_leased_for_its_span_and_returned_when_it_is_proven_gone(stage: Stage) -> None:
    stage.environment.service("b").starts = False
    stage.play()
    (left,) = stage.lease.until_ns.items()
    assert left[0] == 1, "what is not proven gone stays with the janitor"
    assert left[1] > stage.start_ns + 3 * SECOND


def test_nothing_is_broken_when_nobody_would_heal_it(stage: Stage) -> None:
    stage.lease.gone = True
    with pytest.raises(InternalError):
        stage.play()
    assert stage.alive("a")
    assert stage.injector.times() == ()


def test_the_hit_ones_are_those_whose_undo_is_recorded(stage: Stage) -> None:
    stage.environment.service("a").survives_signals = True
    stage.play()
    assert stage.injector.targets == {"a"}
    assert not stage.told(UndoProven)
