"""A queue whose items leave in order, each at its own instant."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gameday.proxy.timer import Entry, WakeTimer
from gameday.proxy.toxics.toxic import End, Outlet

__all__ = ["DelayLine", "Held", "pass_on", "size_of"]


@dataclass(slots=True)
class Held:
    """Bytes or the end of them, when it came and when it is due."""

    item: bytes | End
    came_ns: int
    due_ns: int


def size_of(item: bytes | End) -> int:
    """Give the bytes that `item` occupies; an end has none."""
    return len(item) if isinstance(item, bytes) else 0


class DelayLine:
    """First in, first out, never before its instant; an item never overtakes another."""

    def __init__(self, timer: WakeTimer, leave: Callable[[bytes | End], None]) -> None:
        self._timer = timer
        self._leave = leave
        self._queue: deque[Held] = deque()
        self._entry: Entry | None = None

    def put(self, held: Held) -> None:
        self._queue.append(held)
        if len(self._queue) == 1:
            self._entry = self._timer.at(held.due_ns, self._due)

    def rearrange(self, due_ns: Callable[[Held], int]) -> None:
        """Give every waiting item the instant that `due_ns` says, in the order they came."""
        waiting = list(self._queue)
        self.clear()
        for held in waiting:
            held.due_ns = due_ns(held)
            self.put(held)

    def flush(self) -> None:
        """Let everything leave now."""
        self._timer.cancel(self._entry)
        self._entry = None
        while self._queue:
            self._leave(self._queue.popleft().item)

    def clear(self) -> None:
        """Forget everything."""
        self._timer.cancel(self._entry)
        self._entry = None
        self._queue.clear()

    def _due(self) -> None:
        # The head, and what waited behind it with no later an instant of its own: the timer comes
        # back for the rest.
        self._entry = None
        if not self._queue:
            return
        due_ns = self._queue[0].due_ns
        while self._queue and self._queue[0].due_ns <= due_ns:
            self._leave(self._queue.popleft().item)
        if self._queue and self._entry is None:
            self._entry = self._timer.at(self._queue[0].due_ns, self._due)


def pass_on(item: bytes | End, outlet: Outlet) -> None:
    """Give `item` to `outlet` as what it is."""
    if isinstance(item, bytes):
        outlet.data(item)
    else:
        outlet.end(item)
