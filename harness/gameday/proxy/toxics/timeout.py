"""Timeout: nothing gets through, and the connection ends after a while or never."""

from dataclasses import dataclass
from random import Random

from gameday.proxy.timer import Entry
from gameday.proxy.toxics.toxic import MILLISECOND_NS, End, Outlet, Place, Stage, Toxic

__all__ = ["TimeoutToxic"]


@dataclass(slots=True)
class TimeoutToxic(Toxic):
    """Swallows all data, and closes the connection `timeout` ms after the toxic met it; 0 is never.

    A connection that lost bytes cannot go on: removing the toxic closes it too.
    """

    timeout: int = 0

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _TimeoutStage(self, place, outlet)


class _TimeoutStage(Stage):
    def __init__(self, toxic: TimeoutToxic, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._met_ns = self.place.timer.now_ns()
        self._entry: Entry | None = None

    def begin(self) -> None:
        self.changed()

    def data(self, chunk: bytes) -> None:
        self.tally.bytes_dropped += len(chunk)

    def changed(self) -> None:
        self.drop()
        if self._toxic.timeout:
            due_ns = self._met_ns + self._toxic.timeout * MILLISECOND_NS
            self._entry = self.place.timer.at(due_ns, self._close)

    def release(self) -> None:
        self.drop()
        self._close()

    def drop(self) -> None:
        self.place.timer.cancel(self._entry)
        self._entry = None

    def _close(self) -> None:
        self.outlet.end(End.CLOSE)
