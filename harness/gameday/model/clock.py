"""One monotonic clock, read as integer nanoseconds."""

import time
from typing import Protocol

__all__ = ["MICROSECOND", "MILLISECOND", "MINUTE", "SECOND", "Clock", "MonotonicClock"]

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class Clock(Protocol):
    """Whatever can tell the time and wait; every process of a run on one host shares its zero."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds since an arbitrary, fixed moment."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Return once `duration_ns` nanoseconds have passed."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC, which is the same in every process and container of a Linux host."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        time.sleep(max(0, duration_ns) / SECOND)
