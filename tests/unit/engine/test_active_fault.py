"""A fault is watched while it is in, and undone on time, however long a look takes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from gameday.api.environment import Checkpoint
from gameday.api.fault import Proof
from gameday.engine.active_fault import ActiveFault
from gameday.model.clock import MILLISECOND
from gameday.model.event import Scalar
from gameday.model.plan import PlannedFault
from gameday.model.result import Window

FOR_NS = 1000 * MILLISECOND


@dataclass(slots=True, kw_only=True)
class Slow:
    """An injection of which each look takes its time; `says` is asked with the time since then."""

    takes_ns: int = 0
    says: Callable[[int], bool] = lambda _: True
    began_ns: int = field(default_factory=time.monotonic_ns)
    looks_ns: list[int] = field(default_factory=list)
    undone_ns: int = 0
    undo_text: str = ""
    asked: Mapping[str, Scalar] = field(default_factory=dict)

    def inject(self) -> Window:
        raise AssertionError

    def prove(self, checkpoint: Checkpoint) -> Proof:
        raise AssertionError

    def is_active(self) -> Proof:
        self.looks_ns.append(self._since())
        seen = self.says(self._since())
        time.sleep(self.takes_ns / 1e9)
        return Proof(proven=seen)

    def undo(self) -> Window:
        self.undone_ns = self._since()
        return Window(start_ns=0, end_ns=0)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        raise AssertionError

    def _since(self) -> int:
        return time.monotonic_ns() - self.began_ns


@dataclass(slots=True, kw_only=True)
class Witnessed(Slow):
    lapses: Callable[[int], bool] = lambda _: False

    def lapse(self) -> str:
        return "somebody thawed it" if self.lapses(self._since()) else ""


def attended(injection: Slow, *, alone: bool = True) -> ActiveFault:
    """Let it be looked after for its time, and return it once it is undone."""
    planned = PlannedFault(step=0, fault="pause", target="a", at_ns=0, until_ns=FOR_NS, settings={})
    active = ActiveFault(planned=planned, injection=injection, proven_ns=1)
    active.attend(FOR_NS, alone=alone)
    give_up = time.monotonic() + 5
    while active.undone is None and time.monotonic() < give_up:
        time.sleep(0.005)
    return active


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("takes_ms", [0, 50, 150])
def test_a_look_does_not_put_off_the_undo(takes_ms: int, alone: bool) -> None:
    injection = Slow(takes_ns=takes_ms * MILLISECOND)
    active = attended(injection, alone=alone)
    assert active.lasted
    late_ns = injection.undone_ns - FOR_NS
    assert 0 <= late_ns < 140 * MILLISECOND, f"{late_ns / 1e6:.0f} ms late"
    assert injection.looks_ns[0] >= FOR_NS // 2
    assert 0 < FOR_NS - injection.looks_ns[-1] < (3 * takes_ms + 150) * MILLISECOND


def between(low: float, high: float) -> Callable[[int], bool]:
    return lambda since_ns: low * FOR_NS <= since_ns <= high * FOR_NS


def test_what_is_lifted_for_a_moment_is_seen_by_its_witness() -> None:
    injection = Witnessed(lapses=between(0.2, 0.4))
    active = attended(injection)
    assert active.lapse == "somebody thawed it"
    assert not active.lasted
    assert injection.undone_ns >= FOR_NS, "it is undone on time all the same"


def test_what_has_no_witness_is_looked_at_again_and_again() -> None:
    assert not attended(Slow(says=lambda since_ns: not between(0.6, 0.95)(since_ns))).lasted


def test_what_another_fault_may_hide_is_judged_at_the_end() -> None:
    injection = Slow(says=lambda since_ns: not between(0.4, 0.7)(since_ns))
    assert attended(injection, alone=False).lasted


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_not_in_at_its_end_has_not_lasted(alone: bool) -> None:
    injection = Slow(says=lambda since_ns: since_ns < FOR_NS * 0.8)
    assert not attended(injection, alone=alone).lasted


def test_a_question_that_fails_half_way_says_nothing() -> None:
    def says(since_ns: int) -> bool:
        if since_ns < FOR_NS * 0.7:
            raise OSError("busy")
        return True

    assert attended(Slow(says=says)).lasted


def test_what_is_being_put_right_at_the_moment_of_a_look_is_in() -> None:
    answers = iter([True, False, *[True] * 99])
    assert attended(Slow(says=lambda _: next(answers))).lasted
