"""What keeps the loop from sleeping, by a loop and a clock that are the test's."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from gameday.proxy import timer as timers
from gameday.proxy.awake import Awake
from gameday.proxy.timer import DeadlineTimer

US = 1_000
MS = 1_000_000


class Loop:
    """Goes round when it is told to; each turn takes 10 µs of its clock."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.soon: list[Callable[[], None]] = []
        self.readers: dict[int, Callable[[], None]] = {}

    def call_soon(self, callback: Callable[[], None]) -> "Handle":
        self.soon.append(callback)
        return Handle(self, callback)

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()
        self.now_ns += 10 * US

    def turns_until_asleep(self) -> int:
        turns = 0
        while self.soon:
            self.turn()
            turns += 1
            assert turns < 100, "it never sleeps again"
        return turns


class Handle:
    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback

    def cancel(self) -> None:
        if self._callback in self._loop.soon:
            self._loop.soon.remove(self._callback)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(time, "monotonic_ns", lambda: loop.now_ns)
    return loop


@pytest.fixture
def awake(loop: Loop) -> Awake:
    return Awake(loop)  # type: ignore[arg-type]


def test_a_loop_stays_awake_for_a_moment_after_something_came(loop: Loop, awake: Awake) -> None:
    assert loop.soon == []
    awake.heard()
    assert loop.turns_until_asleep() == 6
    awake.heard()
    assert loop.turns_until_asleep() == 6


def test_what_comes_meanwhile_prolongs_the_moment_by_one_call_a_turn(
    loop: Loop, awake: Awake
) -> None:
    for _ in range(20):
        awake.heard()
        awake.heard()
        assert len(loop.soon) == 1
        loop.turn()
    assert loop.turns_until_asleep() == 5


class Alarm:
    """Remembers to when it was set, and rings when it is told to."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0)
        self.set_to_ns: list[int] = []

    def set(self, deadline_ns: int) -> None:
        self.set_to_ns.append(deadline_ns)


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch) -> Alarm:
    alarm = Alarm()
    monkeypatch.setattr(timers, "_open_alarm", lambda: alarm)
    return alarm


@pytest.fixture
def timer(loop: Loop, alarm: Alarm) -> Iterator[DeadlineTimer]:
    timer = DeadlineTimer(loop)  # type: ignore[arg-type]
    yield timer
    timer.close()


def ring(loop: Loop, alarm: Alarm) -> None:
    loop.now_ns = alarm.set_to_ns[-1]
    os.eventfd_write(alarm.fd, 1)
    loop.readers[alarm.fd]()


@pytest.mark.parametrize(
    ("wait_ns", "ahead_ns"), [(50 * MS, 250 * US), (1 * MS, 200 * US), (10 * US, 2 * US)]
)
def test_the_alarm_rings_ahead_and_the_loop_goes_round_until_the_instant(
    loop: Loop, alarm: Alarm, timer: DeadlineTimer, wait_ns: int, ahead_ns: int
) -> None:
    ran_ns: list[int] = []
    timer.at(wait_ns, lambda: ran_ns.append(loop.now_ns))
    assert alarm.set_to_ns == [wait_ns - ahead_ns]
    ring(loop, alarm)
    assert ran_ns == []
    assert loop.turns_until_asleep() == -(-ahead_ns // (10 * US)) + 1
    assert wait_ns <= ran_ns[0] < wait_ns + 10 * US


def test_an_instant_that_comes_before_the_awaited_one_is_not_missed(
    loop: Loop, alarm: Alarm, timer: DeadlineTimer
) -> None:
    ran: list[str] = []
    timer.at(10 * MS, lambda: ran.append("later"))
    ring(loop, alarm)
    timer.at(loop.now_ns + 50 * US, lambda: ran.append("sooner"))
    ring(loop, alarm)
    assert len(loop.soon) == 1, "two rounds side by side would go on twice as often"
    loop.turns_until_asleep()
    ring(loop, alarm)
    loop.turns_until_asleep()
    assert ran == ["sooner", "later"]


def test_an_alarm_for_what_was_cancelled_sets_itself_anew(
    loop: Loop, alarm: Alarm, timer: DeadlineTimer
) -> None:
    ran: list[str] = []
    # So many that they are swept out, and the alarm is for none of those that are left.
    entries = [timer.at(2 * MS, lambda: ran.append("no")) for _ in range(513)]
    timer.at(9 * MS, lambda: ran.append("yes"))
    for entry in entries:
        timer.cancel(entry)
    ring(loop, alarm)
    assert (loop.soon, len(alarm.set_to_ns)) == ([], 2)
    ring(loop, alarm)
    loop.turns_until_asleep()
    assert ran == ["yes"]
