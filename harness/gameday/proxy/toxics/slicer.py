"""Slicer: data arrives in small pieces."""

from dataclasses import dataclass
from random import Random

from gameday.proxy.toxics.delay_line import DelayLine, Held, pass_on, size_of
from gameday.proxy.toxics.toxic import End, Outlet, Place, Stage, Toxic

__all__ = ["Slicer"]

_MICROSECOND_NS = 1_000


@dataclass(slots=True)
class Slicer(Toxic):
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

    def slices(self, chunk: bytes, random: Random) -> list[bytes]:
        """Cut `chunk`; the pieces joined are the chunk."""
        pieces: list[bytes] = []
        start = 0
        while start < len(chunk):
            size = self.average_size
            if self.size_variation:
                size += random.randint(-self.size_variation, self.size_variation)
            pieces.append(chunk[start : start + size])
            start += size
        return pieces


class _SlicerStage(Stage):
    def __init__(self, toxic: Slicer, place: Place, outlet: Outlet, random: Random) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._random = random
        self._line = DelayLine(place.timer, self._leave)
        self._next_ns = 0

    def data(self, chunk: bytes) -> None:
        self.held_bytes += len(chunk)
        for piece in self._toxic.slices(chunk, self._random):
            self._put(piece)

    def end(self, how: End) -> None:
        self._put(how)

    def release(self) -> None:
        self._line.flush()

    def drop(self) -> None:
        self._line.clear()

    def _put(self, item: bytes | End) -> None:
        now_ns = self.place.timer.now_ns()
        due_ns = max(now_ns, self._next_ns)
        if due_ns > now_ns:
            self.tally.bytes_delayed += size_of(item)
        self._next_ns = due_ns + self._toxic.delay * _MICROSECOND_NS
        self._line.put(Held(item, came_ns=now_ns, due_ns=due_ns))

    def _leave(self, item: bytes | End) -> None:
        self.held_bytes -= size_of(item)
        pass_on(item, self.outlet)
        self.place.balance()
