"""Bandwidth: a link of a given rate; rate 0 is a stall without loss."""

from collections import deque
from dataclasses import dataclass
from functools import partial
from random import Random

from gameday.proxy.timer import Entry
from gameday.proxy.toxics.delay_line import pass_on
from gameday.proxy.toxics.toxic import MILLISECOND_NS, End, Outlet, Place, Stage, Toxic

__all__ = ["BandwidthToxic"]

_PIECE_MS = 20


@dataclass(slots=True)
class BandwidthToxic(Toxic):
    """Passes data on at `rate` kilobytes (1 000 bytes) a second; at 0 it waits until that changes.

    Nothing is lost: what waited is delivered when the toxic is changed or removed.
    """

    rate: int = 0

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _BandwidthStage(self, place, outlet)


class _BandwidthStage(Stage):
    def __init__(self, toxic: BandwidthToxic, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._queue: deque[bytes | End] = deque()
        self._entry: Entry | None = None
        # When the line has carried all that it was given so far.
        self._free_ns = 0
        # The piece that is in the line: since when, how long it is and at which rate.
        self._start_ns = self._size = self._rate = 0

    def data(self, chunk: bytes) -> None:
        self.held_bytes += len(chunk)
        self.tally.bytes_delayed += len(chunk)
        self._put(chunk)

    def end(self, how: End) -> None:
        self._put(how)

    def changed(self) -> None:
        """Go on at the new rate; what the old one has carried of the running piece is through."""
        self.place.timer.cancel(self._entry)
        was_running, self._entry = self._entry is not None, None
        self._free_ns = 0
        if was_running:
            took_ns = self.place.timer.now_ns() - self._start_ns
            carried = min(self._size, max(0, took_ns) * self._rate // MILLISECOND_NS)
            if carried:
                self._through(carried)
                return
        self._next()

    def release(self) -> None:
        self.place.timer.cancel(self._entry)
        self._entry = None
        while self._queue:
            pass_on(self._queue.popleft(), self.outlet)
        self.held_bytes = 0

    def drop(self) -> None:
        self.place.timer.cancel(self._entry)
        self._entry = None
        self._queue.clear()

    def _put(self, item: bytes | End) -> None:
        self._queue.append(item)
        if self._entry is None:
            self._next()

    def _next(self) -> None:
        """Set the timer to when the head of the queue, or a piece of it, is through the line."""
        rate = self._toxic.rate
        while self._queue:
            item = self._queue[0]
            if not isinstance(item, bytes):
                self._queue.popleft()
                pass_on(item, self.outlet)
                continue
            if not rate:
                return
            piece = item[: max(1, rate * _PIECE_MS)]
            self._start_ns = max(self._free_ns, self.place.timer.now_ns())
            self._size, self._rate = len(piece), rate
            self._free_ns = self._start_ns + len(piece) * MILLISECOND_NS // rate
            self._entry = self.place.timer.at(self._free_ns, partial(self._through, len(piece)))
            return

    def _through(self, size: int) -> None:
        self._entry = None
        item = self._queue.popleft()
        if isinstance(item, bytes):
            if size < len(item):
                self._queue.appendleft(item[size:])
            self.held_bytes -= size
            self.outlet.data(item[:size])
        self._next()
        self.place.balance()
