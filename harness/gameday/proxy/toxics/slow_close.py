"""Slow close: the end of a connection is passed on late."""

from dataclasses import dataclass
from random import Random

from gameday.proxy.toxics.delay_line import DelayLine, Held, pass_on
from gameday.proxy.toxics.toxic import MILLISECOND_NS, End, Outlet, Place, Stage, Toxic

__all__ = ["SlowCloseToxic"]


@dataclass(slots=True)
class SlowCloseToxic(Toxic):
    """Passes data on at once, and the end of it `delay` ms after it came."""

    delay: int = 0

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _SlowCloseStage(self, place, outlet)


class _SlowCloseStage(Stage):
    def __init__(self, toxic: SlowCloseToxic, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._toxic = toxic
        self._line = DelayLine(place.timer, lambda item: pass_on(item, self.outlet))

    def end(self, how: End) -> None:
        self._put(how)

    def changed(self) -> None:
        self._line.rearrange(lambda held: held.came_ns + self._toxic.delay * MILLISECOND_NS)

    def release(self) -> None:
        self._line.flush()

    def drop(self) -> None:
        self._line.clear()

    def _put(self, how: End) -> None:
        now_ns = self.place.timer.now_ns()
        due_ns = now_ns + self._toxic.delay * MILLISECOND_NS
        self._line.put(Held(how, came_ns=now_ns, due_ns=due_ns))
