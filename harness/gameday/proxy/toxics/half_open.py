"""Half-open: one direction is lost without a word, and both sides believe in the connection."""

from dataclasses import dataclass
from random import Random

from gameday.proxy.toxics.toxic import End, Outlet, Place, Stage, Toxic

__all__ = ["HalfOpenToxic"]


@dataclass(slots=True)
class HalfOpenToxic(Toxic):
    """Swallows all data of its direction, and the end of it: the receiver waits for ever.

    A peer that lost power, or a firewall that forgot the connection, looks like this. The other
    direction goes on. Removing the toxic resets the connections that met it.
    """

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _HalfOpenStage(place, outlet)


class _HalfOpenStage(Stage):
    def data(self, chunk: bytes) -> None:
        self.tally.bytes_dropped += len(chunk)

    def end(self, how: End) -> None:
        """Swallow the end."""

    def release(self) -> None:
        self.place.reset()
