"""Ctrl-C and SIGTERM ask a run to stop at its next checkpoint, where nothing is half made."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupted", "Interrupts"]

_Handler = Callable[[int, FrameType | None], object] | int | None


class Interrupted(KeyboardInterrupt):
    """The user or the system asked the run to stop; everything was healed on the way out."""


class Interrupts:
    """While entered, remembers a signal instead of raising in the middle of a call.

    An exception out of nowhere between the start of a process and the note of its id would leave
    that process behind. A signal that comes during the clean-up changes nothing: it is bounded.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, _Handler] = {}

    def checkpoint(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.received is not None:
            raise Interrupted(f"stopped by {self.received.name}")

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; elsewhere the owner of that thread keeps them.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
