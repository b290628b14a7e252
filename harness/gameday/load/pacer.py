"""When each operation is due, and the pacer that takes it up then, whatever became of the last."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gameday.model.clock import SECOND
from gameday.proxy.timer import WakeTimer

__all__ = ["Pacer", "Schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Operation i is due at start + i / rate: whole nanoseconds, with no error that adds up."""

    start_ns: int
    rate_per_s: float

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s < float("inf"):
            raise ValueError(f"a rate is above 0/s and finite, not {self.rate_per_s}/s")

    def due_ns(self, index: int) -> int:
        """Return when the operation of that index, from 0, is due."""
        numerator, denominator = self.rate_per_s.as_integer_ratio()
        return self.start_ns + index * SECOND * denominator // numerator

    def due_by(self, now_ns: int) -> int:
        """Return how many operations are due at `now_ns` or before."""
        numerator, denominator = self.rate_per_s.as_integer_ratio()
        return max(0, -(-(now_ns - self.start_ns + 1) * numerator // (SECOND * denominator)))


class Pacer:
    """Fires every operation of all schedules once it is due, in the order of due, none early.

    Whatever is due at one wake-up is fired in that wake-up; a late wake-up delays operations and
    drops none.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        fire: Callable[[int, int, int], None],
        *,
        limit: int,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`fire` gets the number of the schedule, the operation's index in it, and its due time.

        No more than `limit` operations are fired in all.
        """
        self._schedules = schedules
        self._fire = fire
        self._left = limit
        self._now_ns = now_ns
        self._index = [0] * len(schedules)
        self._due = [schedule.due_ns(0) for schedule in schedules]
        self._timer: WakeTimer | None = None

    def run(self, timer: WakeTimer) -> None:
        """Be woken by `timer` from now on."""
        self._timer = timer
        self._set()

    def stop(self) -> None:
        """Fire nothing any more."""
        self._left = 0

    def wake(self) -> None:
        """Fire what is due and set the timer to what is due next."""
        now_ns = self._now_ns()
        due = self._due
        while self._left > 0:
            at_ns = min(due)
            if at_ns > now_ns:
                break
            number = due.index(at_ns)
            index = self._index[number]
            self._left -= 1
            self._index[number] = index + 1
            due[number] = self._schedules[number].due_ns(index + 1)
            self._fire(number, index, at_ns)
        self._set()

    def _set(self) -> None:
        if self._timer is not None and self._left > 0 and self._due:
            self._timer.at(min(self._due), self.wake)
