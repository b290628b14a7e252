"""A thread that polls something; it ends when told to, and by itself after a limit."""

import threading
import time
from collections.abc import Callable

from gameday.model.clock import SECOND

__all__ = ["PollingThread"]

_LONGEST_NS = 600 * SECOND
_END_LIMIT_S = 2.0


class PollingThread:
    """Runs `watch` in a thread from now on, which goes on while `rests` says so."""

    def __init__(self, watch: Callable[["PollingThread"], None]) -> None:
        self._give_up_ns = time.monotonic_ns() + _LONGEST_NS
        self._over = threading.Event()
        self._thread = threading.Thread(target=watch, args=(self,), daemon=True)
        self._thread.start()

    def rests(self, wait_s: float) -> bool:
        """Wait, and tell whether another turn is due: ten minutes at most, and not once ended."""
        return not self._over.wait(wait_s) and time.monotonic_ns() < self._give_up_ns

    @property
    def goes_on(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        """Wait until it has ended, two seconds at most; twice is harmless."""
        self._over.set()
        self._thread.join(_END_LIMIT_S)
