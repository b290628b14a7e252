"""Signals ask a run to stop: it begins to heal within seconds, whatever it is waiting for."""

import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupted", "Interrupts"]

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_GRACE_S = 2.0
"""How long a wait may go on after a signal before it is broken off."""
_STEP_S = 5.0
"""How long a step of the clean-up may go on after a second one."""

_Handler = Callable[[int, FrameType | None], object] | int | None


class Interrupted(KeyboardInterrupt):
    """The user or the system asked the run to stop; everything was healed on the way out."""


class Interrupts:
    """While entered, the first signal is remembered, and raised at the next checkpoint.

    An exception out of nowhere between the start of a process and the note of its id would leave
    that process to the marks and the janitor, so it comes only when it has to: a wait that comes
    to no checkpoint within two seconds is broken off, and meanwhile `overdue` is called in a
    thread of its own, because not every wait can be. A second signal breaks off at once.

    In the clean-up a first signal changes nothing, and further ones break off a step that has
    taken five seconds; the next step has its own time.
    """

    def __init__(
        self,
        overdue: Callable[[], None] = lambda: None,
        *,
        grace_s: float = _GRACE_S,
        step_s: float = _STEP_S,
    ) -> None:
        self.received: signal.Signals | None = None
        self._overdue = overdue
        self._grace_s = grace_s
        self._step_s = step_s
        self._before: dict[signal.Signals, _Handler] = {}
        self._main = threading.main_thread()
        self._cleaning = False
        self._step_began = 0.0
        self._raised = False
        self._epoch = 0
        """Counts what can be broken off: the run until its clean-up, and each step of that."""
        self._meant: int | None = None
        """What the signal is to break off that the watcher has sent, until it has come."""
        self._wake = -1
        self._wake_before = -1
        self._watcher: threading.Thread | None = None

    def checkpoint(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.received is not None:
            if threading.current_thread() is self._main:
                self._raised = True
            raise self._interrupted()

    def clean_up(self) -> None:
        """Begin the clean-up: from now on no first signal raises anything."""
        self._cleaning = self._raised = True
        self._epoch += 1

    @contextmanager
    def step(self) -> Iterator[None]:
        """Enter one step of the clean-up, which further signals may break off."""
        self._step_began = time.monotonic()
        self._epoch += 1
        self._raised = False
        self._tell_watcher()
        try:
            yield
        finally:
            self._raised = True
            self._epoch += 1

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; elsewhere the owner of that thread keeps them.
        if threading.current_thread() is not self._main:
            return self
        reading, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._watcher = threading.Thread(target=self._watch, args=(reading,), daemon=True)
        self._watcher.start()
        for number in _STOPPING:
            # Whoever started this with nohup wants it to outlive the terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._remember)
        self._wake_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watcher is None:
            return
        signal.set_wakeup_fd(self._wake_before)
        for number, handler in self._before.items():
            # None is what Python calls a handler that is not its own.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()
        os.close(self._wake)
        self._watcher.join(self._grace_s)
        self._watcher = None

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._meant is not None:
            still, self._meant = self._meant == self._epoch, None
            if still:
                raise self._interrupted()
            return
        if self.received is None:
            self.received = signal.Signals(number)
            if number == signal.SIGQUIT:
                _show_stacks()
        elif not self._cleaning:
            self._raised = True
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        name = "a signal" if self.received is None else self.received.name
        return Interrupted(f"stopped by {name}")

    def _tell_watcher(self) -> None:
        if self._wake >= 0:
            with suppress(OSError):
                os.write(self._wake, b"\0")

    def _watch(self, reading: int) -> None:
        """Hear of signals from the kernel, also where the main thread cannot be told of them."""
        came: list[float] = []
        own = 0
        while True:
            due = self._due(came)
            wait_s = None if due is None else max(0.0, due - time.monotonic())
            if select.select([reading], [], [], wait_s)[0]:
                data = os.read(reading, 1024)
                if not data:
                    os.close(reading)
                    return
                heard = sum(number in _STOPPING for number in data)
                came += [time.monotonic()] * max(0, heard - own)
                own = max(0, own - heard)
            elif due is not None and due <= time.monotonic():
                own += 1
                self._break_off()

    def _due(self, came: list[float]) -> float | None:
        """Return when the main thread is to be broken off; None: not as things are."""
        if self._raised or not came:
            return None
        if not self._cleaning:
            return came[0] + self._grace_s
        if len(came) < 2:
            return None
        return max(came[1], self._step_began + self._step_s)

    def _break_off(self) -> None:
        self._raised = True
        if not self._cleaning:
            threading.Thread(target=self._overdue, daemon=True).start()
        self._meant = self._epoch
        assert self._main.ident is not None
        signal.pthread_kill(self._main.ident, self.received or signal.SIGTERM)


def _show_stacks() -> None:
    """Say where every thread is, as whoever sends SIGQUIT expects."""
    with suppress(Exception):
        faulthandler.dump_traceback(sys.__stderr__ or 2)
