"""Delays that are drawn, and whether what was measured could be such draws."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import Literal

from gameday.model.clock import MILLISECOND
from gameday.model.event import Scalar

__all__ = ["PARTS", "SAMPLES", "Distribution", "Drawn"]

Distribution = Literal["uniform", "normal", "pareto"]

SAMPLES = 400
PARTS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""The quantiles that are compared."""
_Z = 3.29
"""A share that is as wanted lies beyond so many standard deviations once in a thousand times."""
_LEAST_TOLERANCE_NS = 5 * MILLISECOND
_STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The sum of some delays, each drawn alike: one for each direction of an exchange."""

    distribution: Distribution
    delay_ns: int
    jitter_ns: int
    directions: int

    @property
    def tolerance_ns(self) -> int:
        """How far measuring may move a time: 5 ms, or a tenth of the jitter if that is more."""
        return max(_LEAST_TOLERANCE_NS, self.jitter_ns // 10)

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
        give or take the tolerance; b = 3.29 * sqrt(p * (1 - p) / n).
        """
        came = sorted(times_ns)
        wanted = self.quantiles()
        fits = True
        measured: dict[str, Scalar] = {}
        for part, at_ns in wanted.items():
            within = _Z * math.sqrt(part * (1 - part) / SAMPLES)
            surely = bisect_right(came, at_ns - self.tolerance_ns) / SAMPLES
            perhaps = bisect_right(came, at_ns + self.tolerance_ns) / SAMPLES
            fits &= surely <= part + within and perhaps >= part - within
            place = int(part * SAMPLES)
            name = f"p{part * 100:.0f}"
            measured[f"{name}_ns"] = came[place] if place < len(came) else None
            measured[f"{name}_wanted_ns"] = at_ns
        return fits, measured
