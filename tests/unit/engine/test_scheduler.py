"""Both schedulers return what a call returns, and let nobody wait for one that hangs."""

import threading

import pytest

from gameday.engine.scheduler import Scheduler, ThreadScheduler
from gameday.host.waiting import NotInTime
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.schedulers import Hang, ManualScheduler

LONG_NS = 600 * SECOND


@pytest.fixture(params=[ThreadScheduler, ManualScheduler])
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    made: Scheduler = request.param()
    return made


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
