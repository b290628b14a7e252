"""Whatever is in is undone and proven gone, whatever happens to the others."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gameday.api.fault import Proof
from gameday.errors import NotHealed
from gameday.model.clock import SECOND
from gameday.model.event import EffectProven, FaultUndone, UndoProven
from gameday.model.result import Window
from gameday.testing.outages import LastingOutage, OutageInjection
from gameday.testing.schedulers import Hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.engine.conftest import SetUp, Stage

    from gameday.api.environment import Checkpoint


def in_order(stage: Stage) -> list[tuple[str, str]]:
    told = [e for e in stage.listening.events if isinstance(e, FaultUndone | UndoProven)]
    return [(type(event).__name__, event.target) for event in told]


def test_heal_brings_all_back_last_in_first_out(stage: Stage) -> None:
    stage.environment.service("b").survives_signals = True
    assert not stage.play()
    assert not stage.alive("a")
    stage.injector.heal()
    assert stage.alive("a")
    assert in_order(stage) == [
        ("FaultUndone", "b"),
        ("FaultUndone", "a"),
        ("UndoProven", "b"),
        ("UndoProven", "a"),
    ], "all are undone before the first is read again"


def test_healing_twice_undoes_once(stage: Stage) -> None:
    stage.play()
    count = len(stage.listening.events)
    stage.injector.heal()
    assert len(stage.listening.events) == count


def test_what_cannot_be_undone_is_recorded_as_such_and_the_others_are_healed(stage: Stage) -> None:
    stage.environment.service("a").starts = False
    assert not stage.play()
    stage.injector.heal()
    first, second = stage.records()
    assert (first.proven, first.undone) == (True, False)
    assert second.undone
    lines = [json.loads(line) for line in stage.file.read_text().splitlines()]
    assert [line["target"] for line in lines if line["state"] == "undone"] == ["b"]


def test_what_is_proven_gone_too_late_is_healed_and_counts_as_not_undone(stage: Stage) -> None:
    stage.environment.service("a").starts = False
    assert not stage.play()
    stage.environment.service("a").starts = True
    stage.injector.heal()
    assert stage.alive("a")
    assert stage.lease.until_ns == {}
    assert [record.undone for record in stage.records()] == [False, True]


def test_what_cannot_be_healed_is_not_tried_without_end(stage: Stage) -> None:
    stage.environment.service("a").starts = False
    stage.play()
    for _ in range(10):
        stage.injector.heal()
    assert in_order(stage).count(("UndoProven", "a")) == 4


def test_that_a_fault_ended_early_is_told_once(set_up: SetUp) -> None:
    class Ended(LastingOutage):
        def is_active(self) -> Proof:
            return Proof(proven=False)

    stage = set_up(Ended)
    stage.environment.service("a").starts = False
    stage.play()
    stage.injector.heal()
    assert in_order(stage).count(("FaultUndone", "a")) > 1
    told = [e for e in stage.listening.events if isinstance(e, EffectProven) and e.step == 0]
    assert [event.proven for event in told] == [True, False]


def interrupted_after(stage: Stage, moments: int) -> Callable[[int], None]:
    """Return what waits that often, and is interrupted after that."""
    seen: list[int] = []

    def wait_until(at_ns: int) -> None:
        seen.append(at_ns)
        if len(seen) > moments:
            raise KeyboardInterrupt
        stage.wait_until(at_ns)

    return wait_until


def test_what_another_fault_keeps_in_is_undone_again_once_that_one_is_gone(set_up: SetUp) -> None:
    class Kept(OutageInjection):
        def undo(self) -> Window:
            return super().undo() if stage.alive("a") else Window(start_ns=0, end_ns=0)

    stage = set_up(second=Kept)
    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(interrupted_after(stage, 2), stage.clock.now_ns(), lambda: None)
    stage.injector.heal()
    undone = [(e.target, e.proven) for e in stage.listening.events if isinstance(e, UndoProven)]
    assert undone == [("b", False), ("a", True), ("b", True)]
    assert all(record.undone for record in stage.records())
    assert stage.lease.until_ns == {}


def test_a_run_that_is_cut_short_heals_without_a_look(set_up: SetUp) -> None:
    stage = set_up(LastingOutage, lasts_ns=20 * SECOND)
    stage.environment.service("b").survives_signals = True
    assert not stage.play()
    stage.injector.heal(at_once=True)
    assert stage.injection("a").calls == ["undo"]
    assert stage.records()[0].proven


def test_an_undoing_that_hangs_keeps_no_other_from_being_undone(set_up: SetUp) -> None:
    class Hanging(OutageInjection):
        def undo(self) -> Window:
            raise Hang

    stage = set_up(second=Hanging)
    with suppress(NotHealed):
        stage.play()
    with pytest.raises(ExceptionGroup) as caught:
        stage.injector.heal()
    (error,) = caught.value.exceptions
    assert str(error) == "outage of b: the undo did not finish within 30 s"
    assert stage.alive("a")
    assert [record.undone for record in stage.records()] == [True, False]


def test_a_signal_cuts_the_rereading_short_and_heal_catches_up_on_it(stage: Stage) -> None:
    def stop() -> None:
        if stage.told(FaultUndone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(stage.wait_until, stage.clock.now_ns(), stop)
    assert not stage.told(UndoProven)
    stage.injector.heal()
    assert all(record.undone for record in stage.records())


def test_what_is_not_read_again_in_its_limit_counts_as_not_undone(set_up: SetUp) -> None:
    class Unread(OutageInjection):
        def prove_healed(self, checkpoint: Checkpoint) -> Proof:
            raise Hang

    stage = set_up(Unread)
    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(interrupted_after(stage, 1), stage.clock.now_ns(), lambda: None)
    stage.injector.heal(at_once=True, proof_limit_ns=2 * SECOND)
    assert stage.alive("a")
    (record,) = stage.records()
    assert (record.undone, record.measured["error"]) == (False, "no end within 2 s")


def test_undo_now_undoes_all_and_proves_nothing(stage: Stage) -> None:
    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(interrupted_after(stage, 2), stage.clock.now_ns(), lambda: None)
    stage.injector.undo_now()
    assert stage.alive("a")
    assert stage.alive("b")
    assert not stage.told(FaultUndone, UndoProven)
    stage.injector.heal()
    assert all(record.undone for record in stage.records())
