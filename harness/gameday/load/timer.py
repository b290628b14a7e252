"""A timer on an asyncio loop that fires on time, not up to a millisecond late."""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

from gameday.model.clock import SECOND

__all__ = ["KernelTimer", "LoopTimer", "Timer", "open_timer"]

_ABSOLUTE = 1


class Timer(Protocol):
    """Calls its `wake` once for each time that it was set; setting it again replaces the time."""

    def ring_at(self, at_ns: int) -> None:
        """Ring at `at_ns` of the monotonic clock, at once when that is past."""
        ...

    def close(self) -> None:
        """Never ring again."""
        ...


class KernelTimer:
    """A timerfd: microseconds late where asyncio's own timers are late by up to 1 ms.

    asyncio rounds the time that epoll may wait up to a whole millisecond; a descriptor that
    becomes readable at the right moment is not touched by that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        """Raise OSError where the kernel has no such timer."""
        self._loop = loop
        self._fd, self._set = _open()
        loop.add_reader(self._fd, self._readable, wake)

    def _readable(self, wake: Callable[[], None]) -> None:
        # Setting it anew also takes back that it is readable, which saves reading it.
        self._set(0)
        wake()

    def ring_at(self, at_ns: int) -> None:
        self._set(max(1, at_ns))

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class LoopTimer:
    """The loop's own timer, for kernels without timerfd; never early, up to 1 ms late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._at_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def _ring(self) -> None:
        if time.monotonic_ns() < self._at_ns:
            self.ring_at(self._at_ns)
        else:
            self._wake()

    def ring_at(self, at_ns: int) -> None:
        self.close()
        self._at_ns = at_ns
        late_s = (at_ns - time.monotonic_ns()) / SECOND
        self._handle = self._loop.call_later(max(0.0, late_s), self._ring)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


def open_timer(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> Timer:
    """Return the best timer that this host has."""
    try:
        return KernelTimer(loop, wake)
    except (OSError, AttributeError, NotImplementedError):
        return LoopTimer(loop, wake)


def _open() -> tuple[int, Callable[[int], None]]:
    """Return a timerfd and the function that sets it to an absolute time; 0 stops it."""
    if sys.version_info >= (3, 13):
        flags = os.TFD_NONBLOCK | os.TFD_CLOEXEC
        own = os.timerfd_create(time.CLOCK_MONOTONIC, flags=flags)
        settime, absolute = os.timerfd_settime_ns, os.TFD_TIMER_ABSTIME

        def set_own(at_ns: int) -> None:
            settime(own, flags=absolute, initial=at_ns)

        return own, set_own

    libc = ctypes.CDLL(None, use_errno=True)
    create, set_time = libc.timerfd_create, libc.timerfd_settime
    fd: int = create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    # struct itimerspec: the interval's seconds and nanoseconds, then those of the first ring.
    spec = (ctypes.c_long * 4)()

    def set_foreign(at_ns: int) -> None:
        spec[2], spec[3] = divmod(at_ns, SECOND)
        if set_time(fd, _ABSOLUTE, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    return fd, set_foreign
