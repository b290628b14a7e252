"""A bound on traffic with disks for hosts without control groups: stopped until it is paid for."""

import signal
import time
from contextlib import suppress

import psutil

from gameday.environment import process_tree
from gameday.environment.abilities.throttling import IO_WATCH, Rates
from gameday.environment.io_counts import IoCounts, Processes
from gameday.environment.watch import Watch
from gameday.model.clock import MICROSECOND, MILLISECOND, SECOND

__all__ = ["WatchedDisk"]

_SHORTEST_TURN_NS = 20 * MICROSECOND
_LONGEST_TURN_NS = 4 * MILLISECOND
_TURNS_WORTH_NS = 50 * MILLISECOND
"""A turn is made so long that what is moved in it takes as long as this to pay for."""
_LENIENT_NS = 200 * MILLISECOND
"""How much a service may owe and still go on, while its guests pay."""
_CREDIT_NS = 100 * MILLISECOND
"""How much of what it might have moved a service may have left for later."""


class WatchedDisk:
    """The traffic of a service with all disks, bounded by stopping it, ten minutes at most.

    What it has moved too much, because a stop comes late, it pays for by standing still.
    """

    mechanism = IO_WATCH

    def __init__(
        self, processes: Processes, guests: Processes, *, device: str, folder: str, what: str
    ) -> None:
        self._processes = processes
        self._counts = IoCounts(processes, guests, what)
        self.device = device
        self.folder = folder
        self._rates: Rates = (None, None)
        self._watch: Watch | None = None
        self._service_stopped = False

    def rates(self) -> Rates:
        return self._rates if self._watching else (None, None)

    def moved(self) -> tuple[int, int]:
        # Another look beside those of the thread would only hold that up.
        return self._counts.moved if self._watching else self._counts.look()

    def hold(self, rates: Rates) -> None:
        self.release()
        self._rates = rates
        account = _Account(self._counts, rates)
        self._watch = Watch(lambda watch: self._look_after(watch, account))

    def release(self) -> None:
        if self._watch is not None:
            self._watch.end()
            process_tree.send(self._processes(), signal.SIGCONT)

    def left(self) -> str:
        if self._watching:
            return "a thread stops who has moved too much"
        stopped = process_tree.motion_of(self._processes()) != "running"
        return "processes are stopped" if stopped else ""

    @property
    def _watching(self) -> bool:
        return self._watch is not None and self._watch.goes_on

    def _look_after(self, watch: Watch, account: "_Account") -> None:
        turn_ns = _LONGEST_TURN_NS
        try:
            while watch.rests(turn_ns / SECOND):
                short = turn_ns < _LONGEST_TURN_NS
                if short:
                    # Looking takes longer than such a turn.
                    self._stop(service_too=False)
                due_ns = account.due_ns()
                turn_ns = self._next_turn_ns(turn_ns, due_ns)
                stopped = short or due_ns > 0
                while due_ns > 0:
                    self._stop(service_too=due_ns > _LENIENT_NS)
                    if not watch.rests(min(due_ns, _LONGEST_TURN_NS) / SECOND):
                        return
                    due_ns = account.due_ns()
                if stopped:
                    self._let_go()
        finally:
            process_tree.send(self._processes(), signal.SIGCONT)

    def _next_turn_ns(self, turn_ns: int, due_ns: int) -> int:
        if self._counts.guest_came():
            return _SHORTEST_TURN_NS  # nobody knows how fast it is
        longer = turn_ns * 5 // 4
        if due_ns > 0:
            longer = min(longer, max(turn_ns // 4, turn_ns * _TURNS_WORTH_NS // due_ns))
        return min(_LONGEST_TURN_NS, max(_SHORTEST_TURN_NS, longer))

    def _stop(self, *, service_too: bool) -> None:
        """Stop the guests, children before their parents, who only wait for them.

        The service stands still with them, or goes on: who only measures it is not to keep it up.
        """
        service, guests = self._counts.known()
        with suppress(psutil.Error):
            process_tree.send(guests[::-1], signal.SIGSTOP)
            if service_too:
                process_tree.send(service[::-1], signal.SIGSTOP)
            elif self._service_stopped:
                process_tree.send(service, signal.SIGCONT)
        self._service_stopped = service_too

    def _let_go(self) -> None:
        with suppress(psutil.Error):
            for processes in self._counts.known():
                process_tree.send(processes, signal.SIGCONT)
        self._service_stopped = False


class _Account:
    """What was moved against what may be, by how long it takes to pay for it, in nanoseconds."""

    def __init__(self, counts: IoCounts, rates: Rates) -> None:
        self._counts = counts
        self._rates = rates
        self._debts_ns = [0, 0]
        self._moved, self._at_ns = counts.look(), time.monotonic_ns()

    def due_ns(self) -> int:
        """Return for how long from now nothing may be moved, so that the rates come out."""
        moved, at_ns = self._counts.look(), time.monotonic_ns()
        for number, rate in enumerate(self._rates):
            if rate is not None:
                cost_ns = (moved[number] - self._moved[number]) * SECOND // rate
                owed_ns = self._debts_ns[number] + cost_ns - (at_ns - self._at_ns)
                self._debts_ns[number] = max(-_CREDIT_NS, owed_ns)
        self._moved, self._at_ns = moved, at_ns
        return max(self._debts_ns)
