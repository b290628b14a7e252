"""A clock that also makes calls which nobody has to wait for."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gameday.host.waiting import NotInTime
from gameday.model.clock import SECOND, Clock, MonotonicClock

__all__ = ["Call", "Scheduler", "ThreadScheduler"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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
    """The clock of a run; nothing that it calls is waited for when the process ends."""

    def call(self, act: Callable[[], T]) -> Call[T]:
        """Call `act` beside the caller, who may wait for the result for a limited time."""
        ...


class ThreadScheduler(MonotonicClock):
    """Each call has a thread of its own, so none waits for another."""

    def call(self, act: Callable[[], T]) -> Call[T]:
        return _ThreadCall(act)


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
