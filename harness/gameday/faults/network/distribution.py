"""Delays that are drawn, and whether what was measured could be such draws."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import Literal

from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar

__all__ = ["PARTS", "Distribution", "Drawn"]

Distribution = Literal["uniform", "normal", "pareto"]

_SAMPLES = 400
_SAMPLES_OF_EVEN = 100
"""A uniform jitter has ends, in which it differs from none, and from another: fewer tell it."""
_SAMPLES_OF_SLOW = 40
_SLOW_NS = SECOND
PARTS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""The quantiles that are compared."""
_Z = 3.29
"""A share that is as wanted lies beyond so many standard deviations once in a thousand times."""
_LATER_NS = 5 * MILLISECOND
_EARLIER_NS = 2 * MILLISECOND
"""Less than later: nothing arrives before it was sent. A proxy that draws whole milliseconds and
the time of the direct way, which is taken off, may move a sum that much."""
_STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The sum of some delays, each drawn alike: one for each direction of an exchange."""

    distribution: Distribution
    delay_ns: int
    jitter_ns: int
    directions: int

    @property
    def samples(self) -> int:
        """How many sums are to be compared."""
        if self.distribution != "uniform":
            return _SAMPLES
        return _SAMPLES_OF_EVEN if self._delays_ns <= _SLOW_NS else _SAMPLES_OF_SLOW

    @property
    def later_ns(self) -> int:
        """How much later than drawn a time may be: 5 ms, or a tenth of the jitter if longer."""
        return max(_LATER_NS, self.jitter_ns // 10)

    @property
    def earlier_ns(self) -> int:
        """How much earlier it may be: 2 ms, or a tenth of the jitter if longer."""
        return max(_EARLIER_NS, self.jitter_ns // 10)

    @property
    def earliest_ns(self) -> int | None:
        """What the earliest sum has to be below, as no delay without a jitter can be.

        None where no sum is earlier than the delays.
        """
        if self.distribution == "pareto":
            return None
        return self._delays_ns - self.jitter_ns // 4

    @property
    def _delays_ns(self) -> int:
        return self.delay_ns * self.directions

    def one(self, part: float) -> float:
        """Return the time within which `part` of the delays of one direction lie."""
        match self.distribution:
            case "normal":
                return max(0.0, NormalDist(self.delay_ns, self.jitter_ns).inv_cdf(part))
            case "pareto":
                return self.delay_ns + 2 * self.jitter_ns * (math.pow(1 - part, -1 / 3) - 1)
            case _:
                return self.delay_ns + (2 * part - 1) * self.jitter_ns

    def quantiles(self) -> Mapping[float, int]:
        """Return the times within which `PARTS` of the sums lie."""
        grid = [self.one((step + 0.5) / _STEPS) for step in range(_STEPS)]
        sums = sorted(map(sum, product(grid, repeat=self.directions)))
        return {part: round(sums[int(part * len(sums))]) for part in PARTS}

    def compare(self, times_ns: Sequence[int]) -> tuple[bool, Mapping[str, Scalar]]:
        """Tell whether samples could be such sums; those that never came count as the latest.

        For each p of `PARTS`, between p - b and p + b of them have to lie within the p-quantile,
        give or take the tolerances; b = 3.29 * sqrt(p * (1 - p) / n). What a busy host adds only
        makes times later, so the earliest of them shows the jitter best.
        """
        came = sorted(times_ns)
        count = self.samples
        fits = bool(came) and (self.earliest_ns is None or came[0] < self.earliest_ns)
        measured: dict[str, Scalar] = {"earliest_ns": came[0] if came else None}
        for part, at_ns in self.quantiles().items():
            within = _Z * math.sqrt(part * (1 - part) / count)
            surely = bisect_right(came, at_ns - self.earlier_ns) / count
            perhaps = bisect_right(came, at_ns + self.later_ns) / count
            fits &= surely <= part + within and perhaps >= part - within
            place = int(part * count)
            name = f"p{part * 100:.0f}"
            measured[f"{name}_ns"] = came[place] if place < len(came) else None
            measured[f"{name}_wanted_ns"] = at_ns
        return fits, measured
