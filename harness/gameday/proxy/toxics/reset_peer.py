"""Reset peer: connections end with a RST, open ones too, whether or not they carry data."""

from dataclasses import dataclass
from random import Random

from gameday.proxy.timer import Entry
from gameday.proxy.toxics.toxic import MILLISECOND_NS, End, Outlet, Place, Stage, Toxic

__all__ = ["ResetPeerToxic"]


@dataclass(slots=True)
class ResetPeerToxic(Toxic):
    """Resets both sides of a connection `timeout` ms after the toxic met it; until then, silence.

    Toxiproxy waits for the next data before it does, and gives an open connection an orderly end.
    """

    timeout: int = 0

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _ResetPeerStage(self, place, outlet)


class _ResetPeerStage(Stage):
    def __init__(self, toxic: ResetPeerToxic, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._met_ns = self.place.timer.now_ns()
        self._swallowed = False
        self._entry: Entry | None = None

    def begin(self) -> None:
        self.changed()

    def data(self, chunk: bytes) -> None:
        self.tally.bytes_dropped += len(chunk)
        self._swallowed = True

    def end(self, how: End) -> None:
        self._swallowed = True

    def changed(self) -> None:
        self.drop()
        due_ns = self._met_ns + self._toxic.timeout * MILLISECOND_NS
        if due_ns <= self.place.timer.now_ns():
            self.place.reset()
        else:
            self._entry = self.place.timer.at(due_ns, self.place.reset)

    def release(self) -> None:
        self.drop()
        # What was swallowed is gone; a stream with a hole in it must not go on.
        if self._swallowed:
            self.place.reset()

    def drop(self) -> None:
        self.place.timer.cancel(self._entry)
        self._entry = None
