"""A clock that also calls: at a time, in turns, or for a limited time."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gameday.host.waiting import NotInTime
from gameday.model.clock import SECOND, Clock, MonotonicClock

__all__ = ["Call", "Scheduler", "ThreadScheduler", "Timer", "Turn"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Turn = Callable[[], int | None]
"""Does what is due, and returns when to be called again; None: no more."""


class Timer(Protocol):
    """What is to be called later."""

    def cancel(self) -> None:
        """Let it be called no more; a call that is under way goes on."""
        ...


class Call(Protocol[T_co]):
    """A call under way that nobody has to wait for."""

    def result(self, limit_ns: int) -> T_co:
        """Return what it returns, or raise what it raises.

        Raises NotInTime when it takes longer than `limit_ns`, or was abandoned.
        """
        ...

    def abandon(self) -> None:
        """Let nobody wait for it any longer; it goes on by itself."""
        ...


class Scheduler(Clock, Protocol):
    """A clock that calls back; nothing that it calls is waited for when the process ends."""

    def at(self, at_ns: int, turn: Turn) -> Timer:
        """Call `turn` at that time, and again at each time that it returns.

        `turn` raises nothing. A time that is over is now.
        """
        ...

    def call(self, act: Callable[[], T]) -> Call[T]:
        """Call `act` beside the caller, who may wait for the result for a limited time."""
        ...


class ThreadScheduler(MonotonicClock):
    """Each timer and each call has a thread of its own, so none waits for another."""

    def at(self, at_ns: int, turn: Turn) -> Timer:
        return _ThreadTimer(self, at_ns, turn)

    def call(self, act: Callable[[], T]) -> Call[T]:
        return _ThreadCall(act)


class _ThreadTimer:
    def __init__(self, clock: Clock, at_ns: int, turn: Turn) -> None:
        self._clock = clock
        self._turn = turn
        self._cancelled = threading.Event()
        threading.Thread(target=self._run, args=(at_ns,), daemon=True).start()

    def cancel(self) -> None:
        self._cancelled.set()

    def _run(self, at_ns: int) -> None:
        due_ns: int | None = at_ns
        while due_ns is not None:
            if self._cancelled.wait(max(0, due_ns - self._clock.now_ns()) / SECOND):
                return
            due_ns = self._turn()


class _ThreadCall(Generic[T]):
    def __init__(self, act: Callable[[], T]) -> None:
        self._act = act
        self._came: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def result(self, limit_ns: int) -> T:
        try:
            came = self._came.get(timeout=limit_ns / SECOND)
        except queue.Empty:
            raise NotInTime(f"no end within {limit_ns / SECOND:g} s") from None
        if isinstance(came, BaseException):
            raise came
        return came

    def abandon(self) -> None:
        self._came.put(NotInTime("nobody waits for it any more"))

    def _run(self) -> None:
        try:
            self._came.put(self._act())
        except BaseException as error:
            self._came.put(error)
