"""A scheduler of which the time only moves when it is told to."""

from collections.abc import Callable
from typing import Generic, TypeVar

from gameday.host.waiting import NotInTime
from gameday.model.clock import SECOND
from gameday.testing.clocks import ManualClock

__all__ = ["Hang", "ManualCall", "ManualScheduler"]

T = TypeVar("T")


class Hang(BaseException):
    """Raised by a fake whose call never ends: whoever waits for it waits in vain."""


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
    """Makes each call at once, in the caller's thread; so a test is the same each time."""

    def call(self, act: Callable[[], T]) -> ManualCall[T]:
        return ManualCall(self, act)
