"""One monotonic clock, read as integer nanoseconds."""

import threading
import time
from collections.abc import Iterator
from typing import Protocol

__all__ = [
    "MICROSECOND",
    "MILLISECOND",
    "MINUTE",
    "SECOND",
    "BackgroundTask",
    "Clock",
    "MonotonicClock",
]

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class BackgroundTask(Protocol):
    """Repeated work that goes on in the background."""

    def alive(self) -> bool:
        """Tell whether another turn is due or under way."""
        ...

    def end(self, limit_ns: int) -> None:
        """Let no further turn begin, and wait so long for one under way; twice is harmless."""
        ...


class Clock(Protocol):
    """Tells the time and waits; all processes of a run on one host share its zero."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds since an arbitrary, fixed moment."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Return once `duration_ns` nanoseconds have passed."""
        ...

    def in_background(self, turns: Iterator[int], name: str) -> BackgroundTask:
        """Run `turns` beside the caller; each value that it yields is when its next turn is due."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC, which is the same in every process and container of a Linux host."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        time.sleep(max(0, duration_ns) / SECOND)

    def in_background(self, turns: Iterator[int], name: str) -> BackgroundTask:
        return _Thread(turns, name)


class _Thread:
    """Repeated work in a daemon thread."""

    def __init__(self, turns: Iterator[int], name: str) -> None:
        self._turns = turns
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def end(self, limit_ns: int) -> None:
        self._over.set()
        self._thread.join(limit_ns / SECOND)

    def _run(self) -> None:
        for due_ns in self._turns:
            if self._over.wait(max(0, due_ns - time.monotonic_ns()) / SECOND):
                return
