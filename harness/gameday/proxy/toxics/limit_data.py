"""Limit data: a connection ends after a number of bytes."""

from dataclasses import dataclass
from random import Random

from gameday.proxy.toxics.toxic import End, Outlet, Place, Stage, Toxic

__all__ = ["LimitDataToxic"]


@dataclass(slots=True)
class LimitDataToxic(Toxic):
    """Passes `bytes` bytes on, counted from when the toxic met the connection, and closes it."""

    bytes: int = 0

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _LimitDataStage(self, place, outlet)


class _LimitDataStage(Stage):
    def __init__(self, toxic: LimitDataToxic, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._passed = 0
        self._closed = False

    def data(self, chunk: bytes) -> None:
        rest = max(0, self._toxic.bytes - self._passed)
        allowed = chunk[:rest]
        self._passed += len(allowed)
        self.tally.bytes_dropped += len(chunk) - len(allowed)
        if allowed:
            self.outlet.data(allowed)
        if self._passed >= self._toxic.bytes and not self._closed:
            self._closed = True
            self.outlet.end(End.CLOSE)
