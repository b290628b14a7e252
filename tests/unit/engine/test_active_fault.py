"""A fault is watched while it is in, and undone on time, however long a look takes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gameday.api.environment import Environment
from gameday.api.fault import Proof
from gameday.engine.active_fault import ActiveFault
from gameday.model.clock import MILLISECOND, SECOND, BackgroundTask
from gameday.model.plan import PlannedFault
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec, Target
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.outages import LastingOutage, OutageFault, OutageInjection, WatchedOutage
from gameday.testing.schedulers import Hang, ManualScheduler

FOR_NS = 1000 * MILLISECOND


class Looks:
    """What is seen of a fault at each time since it came in, and how long a look takes."""

    def __init__(
        self,
        says: Callable[[float], bool] = lambda _: True,
        takes_ms: int = 0,
        clock: ManualScheduler | None = None,
    ) -> None:
        self.clock = clock or ManualScheduler()
        self.began_ns = self.clock.now_ns()
        self.says = says
        self.takes_ns = takes_ms * MILLISECOND
        self.at_ns: list[int] = []
        self.undone_ns = -1

    def since_ns(self) -> int:
        return self.clock.now_ns() - self.began_ns

    def look(self) -> Proof:
        self.at_ns.append(self.since_ns())
        seen = self.says(self.since_ns() / FOR_NS)
        self.clock.sleep_ns(self.takes_ns)
        return Proof(proven=seen)

    def undo(self) -> Window:
        self.undone_ns = self.since_ns()
        return Window(start_ns=self.clock.now_ns(), end_ns=self.clock.now_ns())

    def kind(self) -> type[OutageInjection]:
        looks = self

        class Seen(LastingOutage):
            def is_active(self) -> Proof:
                return looks.look()

            def undo(self) -> Window:
                return looks.undo()

        return Seen

    def witnessed(self, lapses: Callable[[float], bool]) -> type[OutageInjection]:
        looks = self

        class Witnessed(WatchedOutage):
            def is_active(self) -> Proof:
                return looks.look()

            def lapse(self) -> str:
                return "somebody thawed it" if lapses(looks.since_ns() / FOR_NS) else ""

            def undo(self) -> Window:
                return looks.undo()

        return Witnessed


def attended(
    looks: Looks, *, alone: bool = True, kind: type[OutageInjection] | None = None
) -> ActiveFault:
    """Let it be looked after for its time, and return it once it is undone."""
    active = fault(looks, kind or looks.kind())
    active.attend(looks.clock.now_ns() + FOR_NS, alone=alone)
    looks.clock.sleep_ns(2 * SECOND)
    assert active.undone is not None
    return active


def fault(looks: Looks, kind: type[OutageInjection]) -> ActiveFault:
    """Return a fault of which the effect is proven."""
    planned = PlannedFault(step=0, fault="pause", target="a", at_ns=0, until_ns=FOR_NS, settings={})
    active = ActiveFault(
        planned=planned,
        fault=OutageFault(target="a", kind=kind),
        scheduler=looks.clock,
        proven_ns=1,
    )
    active.prepare(environment(looks.clock))
    return active


def environment(clock: ManualScheduler) -> Environment:
    service = ServiceSpec(name="a", kind="redis")
    target = Target(name="t", title="T", path=Path(), services=(service,))
    return MemoryEnvironment(target=target, clock=clock)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("takes_ms", [0, 50, 150])
def test_a_look_does_not_put_off_the_undo(takes_ms: int, alone: bool) -> None:
    looks = Looks(takes_ms=takes_ms)
    assert attended(looks, alone=alone).lasted
    assert looks.undone_ns == FOR_NS
    assert looks.at_ns[0] >= FOR_NS // 2
    assert 0 < FOR_NS - looks.at_ns[-1] <= (3 * takes_ms + 150) * MILLISECOND


def between(low: float, high: float) -> Callable[[float], bool]:
    return lambda share: low <= share <= high


def test_what_is_lifted_for_a_moment_is_seen_by_its_witness() -> None:
    looks = Looks()
    active = attended(looks, kind=looks.witnessed(between(0.2, 0.4)))
    assert active.lapse == "somebody thawed it"
    assert not active.lasted
    assert looks.undone_ns == FOR_NS, "it is undone on time all the same"


class Uncancelled(ManualScheduler):
    """Its turns are under way already whenever they are to end."""

    def in_background(self, turns: Iterator[int], name: str) -> BackgroundTask:
        super().in_background(turns, name)
        return ManualScheduler().in_background(iter([0]), name)


def test_its_witness_is_not_asked_once_it_is_undone() -> None:
    looks = Looks(clock=Uncancelled())
    active = fault(looks, looks.witnessed(between(0.6, 9)))
    active.attend(looks.clock.now_ns() + FOR_NS, alone=True)
    looks.clock.sleep_ns(FOR_NS // 2)
    active.undo()
    looks.clock.sleep_ns(FOR_NS)
    assert active.lasted


def test_what_has_no_witness_is_looked_at_again_and_again() -> None:
    assert not attended(Looks(lambda share: not between(0.6, 0.95)(share))).lasted


def test_what_another_fault_may_hide_is_judged_at_the_end() -> None:
    assert attended(Looks(lambda share: not between(0.4, 0.7)(share)), alone=False).lasted


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_not_in_at_its_end_has_not_lasted(alone: bool) -> None:
    assert not attended(Looks(lambda share: share < 0.8), alone=alone).lasted


class Blocked(Looks):
    """Undone by its first undo, which fails all the same."""

    def undo(self) -> Window:
        again = self.undone_ns >= 0
        window = super().undo()
        if not again:
            raise RuntimeError("the way back is blocked")
        return window


def test_what_a_failed_undo_has_ended_has_lasted() -> None:
    looks = Blocked()
    looks.says = lambda _: looks.undone_ns < 0
    active = fault(looks, looks.kind())
    with pytest.raises(RuntimeError, match="the way back is blocked"):
        active.undo()
    looks.clock.sleep_ns(10 * SECOND)
    active.undo()
    assert active.lasted


def test_a_question_that_fails_half_way_says_nothing() -> None:
    def says(share: float) -> bool:
        if share < 0.7:
            raise OSError("busy")
        return True

    assert attended(Looks(says)).lasted


def test_what_is_being_put_right_at_the_moment_of_a_look_is_in() -> None:
    answers = iter([True, False, *[True] * 99])
    assert attended(Looks(lambda _: next(answers))).lasted


def test_a_hurry_does_not_wait_for_a_look_that_is_under_way() -> None:
    hurried: list[ActiveFault] = []
    looks = Looks()

    class Hanging(LastingOutage):
        def is_active(self) -> Proof:
            looks.at_ns.append(looks.since_ns())
            hurried[0].hurry()
            raise Hang

        def undo(self) -> Window:
            return looks.undo()

    active = fault(looks, Hanging)
    hurried.append(active)
    active.attend(looks.clock.now_ns() + FOR_NS, alone=True)
    looks.clock.sleep_ns(FOR_NS)
    assert looks.at_ns == [FOR_NS // 2], "nobody looks again"
    assert looks.undone_ns == FOR_NS
    assert active.lasted, "a look that nobody waited for says nothing"


def test_a_fault_that_was_never_in_has_no_times() -> None:
    looks = Looks()
    active = attended(looks)
    assert active.times() is None
    assert active.record(None, 0).window is None
