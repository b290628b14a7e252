"""A toxic in memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from gameday.api.edge import Stream
from gameday.model.clock import MILLISECOND

__all__ = ["MemoryToxic"]

_FRACTIONS = (0.7548776662466927, 0.5698402909980532)


@dataclass(slots=True, kw_only=True)
class MemoryToxic:
    """What an edge in memory was told to do to one of its streams."""

    kind: str
    stream: Stream
    attributes: Mapping[str, int]
    distribution: str = "uniform"
    swallowed: int = 0

    def jitter_ns(self, number: int, asked: int, drawn: str | None) -> int:
        """Return how much later than its latency it is, for the so-manieth question.

        `number` is its place among the latencies, `drawn` the distribution if not its own.
        """
        # Multiples of two unrelated fractions cover the unit square evenly.
        part = (asked * _FRACTIONS[number % 2]) % 1 or 0.5
        match drawn or self.distribution:
            case "normal":
                turn = NormalDist().inv_cdf(part)
            case "pareto":
                turn = 2 * (math.pow(1 - part, -1 / 3) - 1)
            case _:
                turn = 2 * part - 1
        return round(self.attributes["jitter"] * MILLISECOND * turn)
