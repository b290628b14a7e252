"""A scheduler of which the time only moves when it is told to."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

from gameday.host.waiting import NotInTime
from gameday.model.clock import SECOND
from gameday.testing.clocks import ManualClock

__all__ = ["Hang", "ManualCall", "ManualScheduler", "ManualTimer"]

T = TypeVar("T")


class Hang(BaseException):
    """Raised by a fake whose call never ends: whoever waits for it waits in vain."""


class ManualTimer:
    """A turn that is called until it is cancelled."""

    def __init__(self, turn: Callable[[], int | None]) -> None:
        self.turn = turn
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualCall(Generic[T]):
    """A call that was made at once, in the caller's thread; what it slept counts as its time."""

    def __init__(self, clock: ManualClock, act: Callable[[], T]) -> None:
        self._clock = clock
        self._abandoned = False
        self._came: list[T] = []
        self._error: Exception | None = None
        began_ns = clock.now_ns()
        try:
            self._came.append(act())
        except Hang:
            pass
        except Exception as error:
            self._error = error
        self._took_ns = clock.now_ns() - began_ns

    def result(self, limit_ns: int) -> T:
        if self._abandoned:
            raise NotInTime("nobody waits for it any more")
        if self._error is not None:
            raise self._error
        if not self._came:
            self._clock.sleep_ns(limit_ns - self._took_ns)
        if not self._came or self._took_ns > limit_ns:
            raise NotInTime(f"no end within {limit_ns / SECOND:g} s")
        return self._came[0]

    def abandon(self) -> None:
        self._abandoned = not self._came


class ManualScheduler(ManualClock):
    """Calls what comes due while somebody sleeps, in the sleeper's own thread.

    So a test is the same each time, and takes no time. A turn may sleep, too: others come due
    meanwhile.
    """

    def __init__(self, start_ns: int = SECOND) -> None:
        super().__init__(start_ns)
        self._due: list[tuple[int, int, ManualTimer]] = []
        self._number = count()

    def at(self, at_ns: int, turn: Callable[[], int | None]) -> ManualTimer:
        timer = ManualTimer(turn)
        self._push(at_ns, timer)
        return timer

    def call(self, act: Callable[[], T]) -> ManualCall[T]:
        return ManualCall(self, act)

    def sleep_ns(self, duration_ns: int) -> None:
        end_ns = self.now_ns() + max(0, duration_ns)
        while self._due and self._due[0][0] <= end_ns:
            at_ns, _, timer = heapq.heappop(self._due)
            if timer.cancelled:
                continue
            super().sleep_ns(at_ns - self.now_ns())
            next_ns = timer.turn()
            if next_ns is not None:
                self._push(next_ns, timer)
        super().sleep_ns(end_ns - self.now_ns())

    def _push(self, at_ns: int, timer: ManualTimer) -> None:
        heapq.heappush(self._due, (at_ns, next(self._number), timer))
