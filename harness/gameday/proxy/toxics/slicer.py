"""Slicer: data arrives in small pieces."""

from collections import deque
from dataclasses import dataclass
from random import Random

from gameday.proxy.timer import Entry
from gameday.proxy.toxics.delay_line import pass_on
from gameday.proxy.toxics.toxic import End, Outlet, Place, Stage, Toxic

__all__ = ["SlicerToxic"]

_MICROSECOND_NS = 1_000


@dataclass(slots=True)
class SlicerToxic(Toxic):
    """Cuts data into pieces of `average_size` bytes, give or take up to `size_variation`.

    Between two pieces pass `delay` microseconds.
    """

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    def __post_init__(self) -> None:
        # The zero-argument super() does not survive slots=True, which makes the class anew.
        Toxic.__post_init__(self)
        if self.average_size < 1:
            raise ValueError("average_size is 0; wanted at least 1")
        if self.size_variation >= self.average_size:
            raise ValueError(
                f"size_variation is {self.size_variation}; "
                f"wanted less than average_size, which is {self.average_size}"
            )

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _SlicerStage(self, place, outlet, random)

    def size(self, random: Random) -> int:
        """Draw the size of the next piece."""
        if not self.size_variation:
            return self.average_size
        return self.average_size + random.randint(-self.size_variation, self.size_variation)


class _SlicerStage(Stage):
    """Cuts a piece when it leaves: cutting all at once would keep the loop from its sockets."""

    def __init__(self, toxic: SlicerToxic, place: Place, outlet: Outlet, random: Random) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._random = random
        # Each with the instant at which it came.
        self._queue: deque[tuple[int, bytes | End]] = deque()
        # How much of the head of the queue has left.
        self._cut = 0
        # Before this instant no further piece leaves.
        self._next_ns = 0
        self._entry: Entry | None = None

    def data(self, chunk: bytes) -> None:
        self.held_bytes += len(chunk)
        self._put(chunk)

    def end(self, how: End) -> None:
        self._put(how)

    def release(self) -> None:
        self.place.timer.cancel(self._entry)
        self._entry = None
        if self._toxic.delay:
            self.tally.bytes_delayed += self.held_bytes
        self.held_bytes = 0
        cut, self._cut = self._cut, 0
        while self._queue:
            _came_ns, item = self._queue.popleft()
            pass_on(item[cut:] if isinstance(item, bytes) else item, self.outlet)
            cut = 0

    def drop(self) -> None:
        self.place.timer.cancel(self._entry)
        self._entry = None
        self._queue.clear()

    def _put(self, item: bytes | End) -> None:
        self._queue.append((self.place.timer.now_ns(), item))
        if self._entry is None:
            self._wait()

    def _wait(self) -> None:
        """Set the timer to when the next piece leaves."""
        due_ns = max(self._queue[0][0], self._next_ns)
        self._entry = self.place.timer.at(due_ns, self._leave)

    def _leave(self) -> None:
        self._entry = None
        came_ns, item = self._queue[0]
        due_ns = max(came_ns, self._next_ns)
        self._next_ns = due_ns + self._toxic.delay * _MICROSECOND_NS
        if isinstance(item, bytes):
            piece = item[self._cut : self._cut + self._toxic.size(self._random)]
            self._cut += len(piece)
            if self._cut == len(item):
                self._queue.popleft()
                self._cut = 0
            self.held_bytes -= len(piece)
            if due_ns > came_ns:
                self.tally.bytes_delayed += len(piece)
            self.outlet.data(piece)
        else:
            self._queue.popleft()
            self.outlet.end(item)
        if self._queue and self._entry is None:
            self._wait()
        self.place.balance()
