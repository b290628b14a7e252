"""Latency: everything arrives later, in order."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from gameday.proxy.toxics.delay_line import DelayLine, Held, pass_on, size_of
from gameday.proxy.toxics.toxic import MILLISECOND_NS, End, Outlet, Place, Stage, Toxic

__all__ = ["Latency"]


@dataclass(slots=True)
class Latency(Toxic):
    """Passes each chunk on `latency` ms after it came, give or take up to `jitter` ms.

    A draw below zero counts as zero. The end of the stream is as late as its bytes.
    """

    latency: int = 0
    jitter: int = 0

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _LatencyStage(self, place, outlet, random)

    def delay_ns(self, random: Random) -> int:
        """Draw the delay of one chunk."""
        delay_ns = self.latency * MILLISECOND_NS
        if self.jitter:
            jitter_ns = self.jitter * MILLISECOND_NS
            delay_ns += random.randint(-jitter_ns, jitter_ns)
        return max(0, delay_ns)


class _LatencyStage(Stage):
    # A long pipe holds much: as much as Toxiproxy's, which is 1 024 chunks of 32 KiB.
    HOLD_BYTES: ClassVar[int] = 32 * 1024 * 1024

    def __init__(self, toxic: Latency, place: Place, outlet: Outlet, random: Random) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._random = random
        self._line = DelayLine(place.timer, self._leave)

    def data(self, chunk: bytes) -> None:
        self._put(chunk)

    def end(self, how: End) -> None:
        self._put(how)

    def changed(self) -> None:
        self._line.rearrange(lambda held: held.came_ns + self._toxic.delay_ns(self._random))

    def release(self) -> None:
        self._line.flush()

    def drop(self) -> None:
        self._line.clear()

    def _put(self, item: bytes | End) -> None:
        now_ns = self.place.timer.now_ns()
        self.held_bytes += size_of(item)
        due_ns = now_ns + self._toxic.delay_ns(self._random)
        if due_ns > now_ns:
            self.tally.bytes_delayed += size_of(item)
        self._line.put(Held(item, came_ns=now_ns, due_ns=due_ns))

    def _leave(self, item: bytes | End) -> None:
        self.held_bytes -= size_of(item)
        pass_on(item, self.outlet)
        self.place.balance()
