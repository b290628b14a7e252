"""A processor limit for hosts without control groups: processes are stopped part of the time."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

import psutil

from gameday.api.bounds import DUTY_CYCLE
from gameday.host import process_tree
from gameday.host.polling import PollingThread
from gameday.host.usage import cpu_ns_of
from gameday.model.clock import MILLISECOND, SECOND

__all__ = ["DutyBounds", "DutyCycle"]

_PERIOD_NS = 100 * MILLISECOND

Processes = Callable[[], list[psutil.Process]]


class DutyCycle:
    """A thread that lets processes run for a share of every 100 ms, for ten minutes at most.

    Time that they ran too long, since no wake-up is exact, is taken off later turns.
    """

    def __init__(self, processes: Processes, share: float) -> None:
        self._processes = processes
        self._share = share
        self._watch: PollingThread | None = None
        self.stops = 0
        """How often something was stopped that was running."""

    def start(self) -> None:
        self._watch = PollingThread(self._turn)

    def end(self) -> None:
        """Let all go on, and wait until nobody stops them again; twice is harmless."""
        if self._watch is not None:
            self._watch.end()
        process_tree.send(self._processes(), signal.SIGCONT)

    @property
    def turning(self) -> bool:
        return self._watch is not None and self._watch.goes_on

    def _turn(self, watch: PollingThread) -> None:
        over_ns = 0
        """How much longer than its share it has run so far; it runs for less, or not at all."""
        try:
            while True:
                period_ns = time.monotonic_ns()
                due_ns = round(self._share * _PERIOD_NS) - over_ns
                over_ns = -due_ns
                if due_ns > 0:
                    over_ns += self._let_run(watch, due_ns)
                else:
                    self._stop(self._processes())  # who was forked meanwhile, too
                rest_ns = period_ns + _PERIOD_NS - time.monotonic_ns()
                if not watch.rests(max(0, rest_ns) / SECOND):
                    return
        finally:
            process_tree.send(self._processes(), signal.SIGCONT)

    def _let_run(self, watch: PollingThread, due_ns: int) -> int:
        """Let all run about so long, and return for how long it was."""
        found = self._processes()
        began_ns = time.monotonic_ns()
        process_tree.send(found, signal.SIGCONT)
        if watch.rests(due_ns / SECOND):
            self._stop(found)
            self.stops += bool(found)
        return time.monotonic_ns() - began_ns

    def _stop(self, found: list[psutil.Process]) -> None:
        with suppress(psutil.Error):
            process_tree.send(found, signal.SIGSTOP)


class DutyBounds:
    """Limits the processor time of a service by stopping it; exact for one busy thread only."""

    mechanism = DUTY_CYCLE

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._cycle: DutyCycle | None = None
        self._limit: int | None = None

    def limit(self) -> int | None:
        return self._limit if self._cycle is not None and self._cycle.turning else None

    def usage(self) -> int:
        return cpu_ns_of(self._processes())

    def denials(self) -> int:
        return 0 if self._cycle is None else self._cycle.stops

    def hold(self, limit: int) -> None:
        self.release()
        self._limit = limit
        self._cycle = DutyCycle(self._processes, limit / 1000 / (limit // 1000 + 1))
        self._cycle.start()

    def finely(self) -> AbstractContextManager[None]:
        return nullcontext()  # every turn of it is felt as it is

    def release(self) -> None:
        if self._cycle is not None:
            self._cycle.end()

    def left(self) -> str:
        if self._cycle is not None and self._cycle.turning:
            return "a thread stops the service again and again"
        stopped = process_tree.freezer_state_of(self._processes()) != "running"
        return "processes are stopped" if stopped else ""
