"""Latency: everything arrives later, in order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import ClassVar

from gameday.proxy.toxics.delay_line import DelayLine, Held, pass_on, size_of
from gameday.proxy.toxics.toxic import MILLISECOND_NS, End, Outlet, Place, Stage, Toxic

__all__ = ["LatencyToxic"]

_LONGEST_TAIL = 100
"""No draw of a pareto is beyond so many jitters; one of 130 000 would be."""


@dataclass(slots=True)
class LatencyToxic(Toxic):
    """Passes each chunk on `latency` ms after it came, give or take a draw of about `jitter` ms.

    A draw below zero counts as zero. The end of the stream is as late as its bytes. Distributions:
    uniform, up to `jitter` to either side; normal, with `jitter` as its standard deviation; pareto,
    never less than `latency` and on the average `jitter` more, with a long tail.
    """

    WORDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "distribution": ("uniform", "normal", "pareto")
    }

    latency: int = 0
    jitter: int = 0
    distribution: str = "uniform"

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        return _LatencyStage(self, place, outlet, random)

    def delay_ns(self, random: Random) -> int:
        """Draw the delay of one chunk."""
        delay_ns = self.latency * MILLISECOND_NS
        if self.jitter:
            delay_ns += self._draw(random, self.jitter * MILLISECOND_NS)
        return max(0, delay_ns)

    def _draw(self, random: Random, jitter_ns: int) -> int:
        """Draw how much longer than `latency` one chunk takes."""
        match self.distribution:
            case "normal":
                return round(NormalDist(0, jitter_ns).inv_cdf(random.random() or 0.5))
            case "pareto":
                # Of the third power, so that it has a spread; its mean is half of the scale.
                scale_ns = 2 * jitter_ns
                drawn = scale_ns * (math.pow(1 - random.random(), -1 / 3) - 1)
                return round(min(drawn, _LONGEST_TAIL * jitter_ns))
            case _:
                return random.randint(-jitter_ns, jitter_ns)


class _LatencyStage(Stage):
    # A long pipe holds much: as much as Toxiproxy's, which is 1 024 chunks of 32 KiB.
    HOLD_BYTES: ClassVar[int] = 32 * 1024 * 1024

    def __init__(self, toxic: LatencyToxic, place: Place, outlet: Outlet, random: Random) -> None:
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
