"""A clock that only moves when it is told to."""

from collections.abc import Iterator
from threading import RLock

from gameday.model.clock import BackgroundTask

__all__ = ["ManualClock"]


class ManualClock:
    """Time as a number: sleeping moves it, and nothing else does.

    What goes on in the background has its turns while somebody sleeps, each at its own time, in
    the thread of the sleeper. Sleeps in several threads follow each other.
    """

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._now_ns = start_ns
        self._tasks: list[_Task] = []
        self._lock = RLock()

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_ns(self, duration_ns: int) -> None:
        with self._lock:
            until_ns = self._now_ns + max(0, duration_ns)
            while due := [task for task in self._tasks if task.is_due(until_ns)]:
                task = min(due, key=lambda task: task.due_ns)
                self._now_ns = max(self._now_ns, task.due_ns)
                task.take_turn()
            self._now_ns = max(self._now_ns, until_ns)

    def in_background(self, turns: Iterator[int], name: str) -> BackgroundTask:
        """Run the first turn now, and each further one during the sleep in which it is due."""
        task = _Task(turns)
        with self._lock:
            self._tasks.append(task)
            task.take_turn()
        return task


class _Task:
    def __init__(self, turns: Iterator[int]) -> None:
        self._turns = turns
        self._living = True
        self._busy = False
        self.due_ns = 0

    def alive(self) -> bool:
        return self._living

    def end(self, limit_ns: int) -> None:
        self._living = False

    def is_due(self, at_ns: int) -> bool:
        return self._living and not self._busy and self.due_ns <= at_ns

    def take_turn(self) -> None:
        self._busy = True
        try:
            self.due_ns = next(self._turns)
        except StopIteration:
            self._living = False
        finally:
            self._busy = False
