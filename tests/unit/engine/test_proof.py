"""A fault is proven when it took effect, stayed active until its end, and was met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gameday.api.environment import Checkpoint
from gameday.api.fault import Proof
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import EffectProven
from gameday.testing.outages import CountedOutage, LastingOutage, OutageInjection, WatchedOutage
from gameday.testing.schedulers import Hang

if TYPE_CHECKING:
    from tests.unit.engine.conftest import SetUp, Stage


@pytest.mark.parametrize(("met", "proven"), [(1, False), (2, True), (None, True)])
def test_a_fault_that_too_few_operations_met_is_not_proven(
    stage: Stage, met: int | None, proven: bool
) -> None:
    stage.play()
    records = stage.records(met)
    assert [record.proven for record in records] == [proven] * 2
    assert [(record.met, record.exposure) for record in records] == [(met, 2)] * 2


@pytest.mark.parametrize(
    ("due", "counted", "met", "proven"),
    [
        (9, 1, 1, False),
        (9, 2, 2, True),
        (1, 9, 1, False),
        (9, None, 9, True),
        (None, 0, None, True),
    ],
)
def test_what_a_mechanism_counts_bounds_what_met_it(
    set_up: SetUp, due: int | None, counted: int | None, met: int | None, proven: bool
) -> None:
    class Counted(CountedOutage):
        counts = counted

    stage = set_up(second=Counted)
    assert stage.play()
    _, record = stage.records(due)
    assert (record.met, record.proven) == (met, proven)


def shown(stage: Stage) -> list[bool]:
    """Return whether each proof of an effect showed it, of the first fault."""
    events = stage.listening.events
    return [e.proven for e in events if isinstance(e, EffectProven) and e.step == 0]


def test_a_fault_that_is_in_still_at_its_end_is_looked_at_before_it_is_undone(
    set_up: SetUp,
) -> None:
    stage = set_up(LastingOutage)
    assert stage.play()
    *looks, last = stage.injection("a").calls
    assert (set(looks), last) == ({"is active"}, "undo")
    record = stage.records()[0]
    assert (record.proven, record.undone, record.active_at_end) == (True, True, True)
    assert record.measured["at_end_alive"] is False
    assert shown(stage) == [True], "that it is in still is no news"


class Ended(LastingOutage):
    def is_active(self) -> Proof:
        return Proof(proven=False, measured={"left": 0})


class Unreadable(LastingOutage):
    def is_active(self) -> Proof:
        raise OSError("nobody answers")


class NeverRead(LastingOutage):
    def is_active(self) -> Proof:
        raise Hang


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (Ended, ("at_end_left", 0)),
        (Unreadable, ("at_end_error", "nobody answers")),
        (NeverRead, ("at_end_error", "no answer within 2 s")),
    ],
)
def test_a_fault_that_is_not_shown_to_be_in_still_is_not_proven_and_undone_all_the_same(
    set_up: SetUp, kind: type[OutageInjection], seen: tuple[str, object]
) -> None:
    stage = set_up(kind)
    assert not stage.play(), "nothing more is broken"
    stage.injector.heal()
    record = stage.records()[0]
    assert (record.proven, record.undone, record.active_at_end) == (False, True, False)
    assert seen in record.measured.items()
    assert shown(stage) == [True, False]
    (_, told) = (e for e in stage.told(EffectProven) if isinstance(e, EffectProven) and not e.step)
    assert told.measured == {seen[0]: seen[1], "in_at_end": False}
    assert stage.injection("a").calls == ["undo"]
    assert stage.alive("a")
    assert stage.alive("b")


def test_a_fault_that_was_lifted_for_a_while_is_not_proven(set_up: SetUp) -> None:
    class Lifted(WatchedOutage):
        def lapse(self) -> str:
            return "" if stage.clock.now_ns() < stage.start_ns + SECOND // 2 else "it was lifted"

    stage = set_up(Lifted)
    assert not stage.play()
    stage.injector.heal()
    record = stage.records()[0]
    assert (record.proven, record.lapse, record.active_at_end) == (False, "it was lifted", False)


def test_the_timer_of_a_fault_looks_at_it_and_undoes_it_whatever_else_is_waited_for(
    set_up: SetUp,
) -> None:
    class Held(OutageInjection):
        """Its proof holds everything up until `a` lives again."""

        def prove(self, checkpoint: Checkpoint) -> Proof:
            for _ in range(100):
                stage.clock.sleep_ns(50 * MILLISECOND)
                if stage.alive("a"):
                    return Proof(proven=True)
            return Proof(proven=False)

    stage = set_up(Ended, Held)
    assert not stage.play()
    assert stage.injection("a").calls[:1] == ["undo"]
    stage.injector.heal()
    assert [record.proven for record in stage.records()] == [False, True]


def test_a_fault_that_was_not_proven_is_not_looked_at(set_up: SetUp) -> None:
    stage = set_up(LastingOutage)
    stage.environment.service("a").survives_signals = True
    assert not stage.play()
    stage.injector.heal()
    assert stage.injection("a").calls == ["undo"]
    assert stage.records()[0].active_at_end is None


def test_a_fault_whose_proof_takes_too_long_is_undone_and_not_proven(set_up: SetUp) -> None:
    class Long(OutageInjection):
        def prove(self, checkpoint: Checkpoint) -> Proof:
            for _ in range(100):
                if stage.alive("a"):
                    return Proof(proven=True)
                stage.clock.sleep_ns(SECOND)
            raise AssertionError("nobody undid it")

    stage = set_up(Long)
    assert not stage.play()
    stage.injector.heal()
    (record,) = stage.records()
    assert (record.proven, record.undone) == (False, True)
    assert stage.clock.now_ns() < stage.start_ns + 50 * SECOND
