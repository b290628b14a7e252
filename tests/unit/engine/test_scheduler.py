"""Both schedulers call at their times, in turns, and let nobody wait for what hangs."""

import threading

import pytest

from gameday.engine.scheduler import Scheduler, ThreadScheduler, Timer
from gameday.host.waiting import NotInTime
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.schedulers import Hang, ManualScheduler

LONG_NS = 600 * SECOND


@pytest.fixture(params=[ThreadScheduler, ManualScheduler])
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    made: Scheduler = request.param()
    return made


def test_a_turn_is_called_again_at_each_time_that_it_returns(scheduler: Scheduler) -> None:
    began_ns = scheduler.now_ns()
    called_ns: list[int] = []
    over = threading.Event()

    def turn() -> int | None:
        called_ns.append(scheduler.now_ns() - began_ns)
        if len(called_ns) == 3:
            over.set()
            return None
        return scheduler.now_ns() + MILLISECOND

    scheduler.at(began_ns + MILLISECOND, turn)
    scheduler.sleep_ns(3 * MILLISECOND)
    assert over.wait(5)
    assert [at_ns >= number * MILLISECOND for number, at_ns in enumerate(called_ns, 1)] == [
        True
    ] * 3


def test_a_cancelled_turn_is_called_no_more(scheduler: Scheduler) -> None:
    called: list[int] = []
    timers: list[Timer] = []
    known, later = threading.Event(), threading.Event()

    def turn() -> int:
        called.append(scheduler.now_ns())
        assert known.wait(5)
        timers[0].cancel()
        return scheduler.now_ns()

    timers.append(scheduler.at(scheduler.now_ns() + MILLISECOND, turn))
    known.set()
    scheduler.at(scheduler.now_ns() + 5 * MILLISECOND, later.set)
    scheduler.sleep_ns(5 * MILLISECOND)
    assert later.wait(5)
    assert len(called) == 1


def test_a_call_returns_its_result_or_raises(scheduler: Scheduler) -> None:
    def fail() -> None:
        raise ValueError("no")

    assert scheduler.call(lambda: 3).result(LONG_NS) == 3
    with pytest.raises(ValueError, match="no"):
        scheduler.call(fail).result(LONG_NS)


def hangs_in_memory() -> None:
    raise Hang


def test_a_call_that_hangs_is_not_in_time() -> None:
    for_ever = threading.Event()
    with pytest.raises(NotInTime, match=r"no end within 0.001 s"):
        ThreadScheduler().call(lambda: for_ever.wait(10)).result(MILLISECOND)
    for_ever.set()
    clock = ManualScheduler()
    began_ns = clock.now_ns()
    with pytest.raises(NotInTime, match="no end within 2 s"):
        clock.call(hangs_in_memory).result(2 * SECOND)
    assert clock.now_ns() == began_ns + 2 * SECOND


def test_nobody_waits_for_an_abandoned_call() -> None:
    for_ever = threading.Event()
    call = ThreadScheduler().call(lambda: for_ever.wait(10))
    call.abandon()
    with pytest.raises(NotInTime, match="nobody waits"):
        call.result(LONG_NS)
    for_ever.set()
    clock = ManualScheduler()
    abandoned = clock.call(hangs_in_memory)
    abandoned.abandon()
    with pytest.raises(NotInTime, match="nobody waits"):
        abandoned.result(LONG_NS)
    assert clock.now_ns() == SECOND


def test_a_slow_call_in_memory_takes_the_time_that_it_slept() -> None:
    clock = ManualScheduler()
    assert clock.call(lambda: clock.sleep_ns(SECOND)).result(2 * SECOND) is None
    with pytest.raises(NotInTime):
        clock.call(lambda: clock.sleep_ns(3 * SECOND)).result(2 * SECOND)
