"""Call-backs at absolute instants, kept by one timerfd.

An event loop's own timers go through epoll's timeout, which is rounded up to a millisecond. A
timerfd wakes the loop within tens of microseconds of its instant, unless the processor was deep
asleep: then it takes some hundred. So it is set ahead of the instant, and the loop goes round, with
its sockets served, until that has come.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Protocol

__all__ = ["DeadlineTimer", "Entry", "WakeTimer"]

_SECOND_NS = 1_000_000_000
_SWEEP_AT = 512
_TURN_NS = 2_000_000
"""How long call-backs may keep the loop from its sockets, which are served between two turns."""
_MOST_AHEAD_NS = 250_000
_WAIT_TO_AHEAD = 5
"""What is waited for may be awaited awake for a fifth of the time: of a processor, no more."""


class Entry:
    """One call-back that is due at one instant, until it ran or was cancelled."""

    __slots__ = ("callback", "deadline_ns", "order")

    def __init__(self, deadline_ns: int, order: int, callback: Callable[[], None]) -> None:
        self.deadline_ns = deadline_ns
        self.order = order
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: "Entry") -> bool:
        return (self.deadline_ns, self.order) < (other.deadline_ns, other.order)


class WakeTimer(Protocol):
    """A clock, and call-backs at its instants."""

    def now_ns(self) -> int: ...

    def at(self, deadline_ns: int, callback: Callable[[], None]) -> Entry: ...

    def cancel(self, entry: Entry | None) -> None: ...


class DeadlineTimer:
    """Runs each call-back at its instant of `time.monotonic_ns()`, in order, never early."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, ahead_ns: int = _MOST_AHEAD_NS) -> None:
        """`ahead_ns`: how long the loop may go round before an instant, awake; 0: not at all."""
        self._loop = loop
        self._ahead_ns = ahead_ns
        self._heap: list[Entry] = []
        self._order = 0
        self._cancelled = 0
        self._armed_ns = 0
        self._round: asyncio.Handle | None = None
        self._running = False
        self._fallback: asyncio.TimerHandle | None = None
        self._alarm = _open_alarm()
        if self._alarm is not None:
            loop.add_reader(self._alarm.fd, self._woken)

    @property
    def is_kernels(self) -> bool:
        """Whether a timerfd wakes it, and not the loop's own timers."""
        return self._alarm is not None

    def now_ns(self) -> int:
        """Return the instant that it is now."""
        return time.monotonic_ns()

    def at(self, deadline_ns: int, callback: Callable[[], None]) -> Entry:
        """Run `callback` at `deadline_ns`; an instant in the past means the loop's next turn."""
        self._order += 1
        entry = Entry(deadline_ns, self._order, callback)
        heappush(self._heap, entry)
        if self._heap[0] is entry and not self._running:
            self._arm()
        return entry

    def cancel(self, entry: Entry | None) -> None:
        """Forget `entry`; one that ran, was cancelled or never was is let be."""
        if entry is None or entry.callback is None:
            return
        entry.callback = None
        self._cancelled += 1
        if self._cancelled > _SWEEP_AT and self._cancelled * 2 > len(self._heap):
            self._heap = [kept for kept in self._heap if kept.callback is not None]
            heapify(self._heap)
            self._cancelled = 0

    def close(self) -> None:
        """Stop for good; nothing runs any more."""
        self._heap.clear()
        if self._fallback is not None:
            self._fallback.cancel()
        if self._alarm is not None:
            self._loop.remove_reader(self._alarm.fd)
            os.close(self._alarm.fd)
            self._alarm = None

    def _woken(self) -> None:
        if self._alarm is not None:
            try:
                os.read(self._alarm.fd, 8)
            except BlockingIOError:
                return
        self._go_round()

    def _go_round(self) -> None:
        """Run what is due; while that is only about to be, let the sockets have their turns."""
        if self._round is not None:
            self._round.cancel()
            self._round = None
        left_ns = self._heap[0].deadline_ns - time.monotonic_ns() if self._heap else 0
        if 0 < left_ns <= self._ahead_ns:
            self._round = self._loop.call_soon(self._go_round)
        else:
            self._run_due()

    def _run_due(self) -> None:
        self._armed_ns = 0
        now_ns = time.monotonic_ns()
        give_up_ns = now_ns + _TURN_NS
        # What is set meanwhile is armed once, at the end.
        self._running = True
        try:
            # What is due after that has its turn when the sockets have had theirs.
            while self._heap and self._heap[0].deadline_ns <= now_ns < give_up_ns:
                entry = heappop(self._heap)
                callback, entry.callback = entry.callback, None
                if callback is None:
                    self._cancelled -= 1
                else:
                    callback()
                now_ns = time.monotonic_ns()
        finally:
            self._running = False
            # A call-back that raises must not take the others with it.
            if self._heap:
                self._arm()

    def _arm(self) -> None:
        deadline_ns = max(1, self._heap[0].deadline_ns)
        if deadline_ns == self._armed_ns:
            return
        self._armed_ns = deadline_ns
        wait_ns = max(0, deadline_ns - time.monotonic_ns())
        if self._alarm is not None:
            self._alarm.set(deadline_ns - min(self._ahead_ns, wait_ns // _WAIT_TO_AHEAD))
            return
        if self._fallback is not None:
            self._fallback.cancel()
        self._fallback = self._loop.call_later(wait_ns / _SECOND_NS, self._run_due)


class _Alarm:
    """A timerfd and the call that sets it to an absolute instant."""

    __slots__ = ("fd", "set")

    def __init__(self, fd: int, set_alarm: Callable[[int], None]) -> None:
        self.fd = fd
        self.set = set_alarm


if sys.platform == "linux" and sys.version_info >= (3, 13):

    def _open_alarm() -> _Alarm | None:
        fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

        def set_alarm(deadline_ns: int) -> None:
            os.timerfd_settime_ns(fd, flags=os.TFD_TIMER_ABSTIME, initial=deadline_ns)

        return _Alarm(fd, set_alarm)

elif sys.platform == "linux":

    def _open_alarm() -> _Alarm | None:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        # TFD_NONBLOCK and TFD_CLOEXEC have the values of their O_ namesakes.
        fd = int(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if fd < 0:
            return None
        # struct itimerspec: an interval, here none, and the first instant.
        spec = (ctypes.c_long * 4)()
        absolute = 1

        def set_alarm(deadline_ns: int) -> None:
            spec[2], spec[3] = divmod(deadline_ns, _SECOND_NS)
            libc.timerfd_settime(fd, absolute, spec, None)

        return _Alarm(fd, set_alarm)

else:

    def _open_alarm() -> _Alarm | None:
        return None
