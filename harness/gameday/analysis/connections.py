"""The share of lost connections that were restored."""

import math

from gameday.model.finding import Finding
from gameday.model.history import Connections
from gameday.model.units import Unit

__all__ = ["reconnection_success", "supported_rate"]

_NAME = "reconnection_success"


def reconnection_success(connections: Connections | None) -> Finding:
    """Return restored over lost: a census of this run, hence without an interval.

    What a census of few says about other incidents is another matter: the evidence gives the
    rate that it supports.
    """
    if connections is None:
        return Finding.unmeasured(_NAME, Unit.RATIO, "no service told of its connections")
    lost = {name: n for name, n in connections.lost.items() if n > 0}
    total = sum(lost.values())
    if not total:
        return Finding.unmeasured(_NAME, Unit.RATIO, "no connection was lost")
    back = {name: min(n, connections.restored.get(name, 0)) for name, n in lost.items()}
    restored = sum(back.values())
    each = ", ".join(f"{name} {back[name]} of {lost[name]}" for name in sorted(lost))
    return Finding(
        name=_NAME,
        value=restored / total,
        low=restored / total,
        high=restored / total,
        unit=Unit.RATIO,
        samples=total,
        resolution=1 / total,
        evidence=(
            f"{restored} of the {total} connections that this run lost came back ({each}); "
            f"for other incidents like it that supports a rate of at least "
            f"{supported_rate(restored, total):.1%} at 95 % confidence"
        ),
    )


def supported_rate(successes: int, trials: int, *, confidence: float = 0.95) -> float:
    """Return the exact (Clopper-Pearson) one-sided lower bound of a rate.

    For n of n it is (1 - confidence) ** (1 / n).
    """
    if successes <= 0:
        return 0.0
    miss = 1 - confidence
    if successes == trials:
        return float(miss ** (1 / trials))
    low, high = 0.0, successes / trials
    for _ in range(60):  # bisection: 60 halvings exhaust a double
        middle = (low + high) / 2
        if _at_least(successes, trials, middle) > miss:
            high = middle
        else:
            low = middle
    return low


def _at_least(successes: int, trials: int, rate: float) -> float:
    """Return the chance of `successes` or more in `trials` at `rate`, strictly inside (0, 1)."""
    hit, miss = math.log(rate), math.log1p(-rate)
    whole = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * hit + (trials - k) * miss
        )
        for k in range(successes, trials + 1)
    )
