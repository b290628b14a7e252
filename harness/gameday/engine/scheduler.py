"""A clock that also makes calls which nobody has to wait for."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from gameday.host.waiting import ThreadCall
from gameday.model.clock import Clock, MonotonicClock

__all__ = ["Scheduler", "ThreadCall", "ThreadScheduler"]

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
        return ThreadCall(act)
