"""The goals of the proxy beside Toxiproxy, and whether the rounds of a benchmark can tell them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from statistics import median

DIRECT_P99_LIMIT_US = 250.0
OVERSHOOT_LIMIT_US = 500.0
JUDGED_DELAYS_MS = (5, 20)
DRAWS = 1000
RECOVERY_GOAL_S = 1.0
GOALS = {
    "toxiproxy": (
        ("bulk MB/s", 2.0, True),
        ("1 connection, requests/s", 1.4, True),
        ("16 connections, requests/s", 1.1, True),
        ("added latency p50, us", 0.4, False),
    ),
    "haproxy": (
        ("bulk MB/s", 1.2, True),
        ("1 connection, requests/s", 1.0, True),
        ("16 connections, requests/s", 1.0, True),
        ("added latency p50, us", 0.8, False),
    ),
}
"""By peer: the figure, the ratio to the peer's, and whether that is the least or the most."""

Figures = dict[str, float]


@dataclass(slots=True)
class Round:
    """What one contender showed in one round; `over_us` has each sample of a delay."""

    figures: Figures
    over_us: dict[int, list[float]] = field(default_factory=dict)


Rounds = dict[str, list[Round]]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def over_us(rounds: Sequence[Round], ms: int, share: float) -> float:
    """Give a quantile of what a delay was over by, of all `rounds` together."""
    return quantile([sample for one in rounds for sample in one.over_us[ms]], share)


def summed_up(rounds: Sequence[Round]) -> Figures:
    figures = {name: median(one.figures[name] for one in rounds) for name in rounds[0].figures}
    for ms in rounds[0].over_us:
        for share in (0.5, 0.99):
            name = f"{ms} ms delay, over by p{share * 100:.0f}, us"
            figures[name] = over_us(rounds, ms, share)
    return figures


Measure = Callable[[Sequence[int]], float]
"""Gives a value from the rounds of these numbers."""


def verdict(
    what: str, measure: Measure, rounds: int, bound: float, *, least: bool, unsteady: str
) -> str:
    """Say whether a value is at least, or at most, `bound`, unless its noise forbids to.

    The noise is that of the same value of rounds that are drawn from these (bootstrap).
    """
    value = measure(range(rounds))
    random = Random(1)
    drawn = [measure(random.choices(range(rounds), k=rounds)) for _ in range(DRAWS)]
    low, high = (quantile(drawn, share) for share in (0.05, 0.95))
    if rounds == 1:
        low, high = -float("inf"), float("inf")
    if unsteady:
        word = f"cannot tell: {unsteady}"
    elif low <= bound <= high:
        word = f"cannot tell: {low:.2f} to {high:.2f} lies on both sides"
    else:
        word = "met" if (value >= bound) == least else "missed"
    wanted = f"at {'least' if least else 'most'} {bound:g}"
    return f"  {what}: {value:.2f} ({low:.2f} to {high:.2f}), wanted {wanted}: {word}"


def verdicts(seen: Rounds) -> Iterator[str]:
    """Hold the rounds against the goals, as far as the peers of these were there."""
    own = seen["gameday"]
    direct_us = median(one.figures["round trip p99, us"] for one in seen["direct"])
    unsteady = ""
    if direct_us > DIRECT_P99_LIMIT_US:
        unsteady = f"p99 without a proxy is {direct_us:.0f} us, above {DIRECT_P99_LIMIT_US:.0f}"
    for peer, goals in GOALS.items():
        if peer not in seen:
            yield f"  no {peer} on PATH: nothing to compare with"
            continue
        for name, bound, least in goals:
            yield verdict(
                f"{name}, of {peer}'s",
                partial(_median_ratio, own, seen[peer], name),
                len(own),
                bound,
                least=least,
                unsteady="" if least else unsteady,
            )
    for ms in JUDGED_DELAYS_MS:
        what = f"{ms} ms delay, over by p99"
        measure = partial(_over_p99_us, own, ms)
        yield verdict(
            f"{what}, us", measure, len(own), OVERSHOOT_LIMIT_US, least=False, unsteady=unsteady
        )
        if "toxiproxy" in seen:
            yield verdict(
                f"{what}, of toxiproxy's",
                partial(_over_p99_ratio, own, seen["toxiproxy"], ms),
                len(own),
                0.5,
                least=False,
                unsteady=unsteady,
            )


def _median_ratio(
    own: Sequence[Round], peer: Sequence[Round], name: str, at: Sequence[int]
) -> float:
    return median(own[i].figures[name] / max(1.0, peer[i].figures[name]) for i in at)


def _over_p99_us(rounds: Sequence[Round], ms: int, at: Sequence[int]) -> float:
    return over_us([rounds[i] for i in at], ms, 0.99)


def _over_p99_ratio(
    own: Sequence[Round], peer: Sequence[Round], ms: int, at: Sequence[int]
) -> float:
    return _over_p99_us(own, ms, at) / max(1.0, _over_p99_us(peer, ms, at))


def recovery_verdict(recovery_s: float, direct_s: float) -> str:
    """Say whether connections are answered about as early as without a proxy."""
    late_s = recovery_s - direct_s
    word = "met" if late_s <= RECOVERY_GOAL_S else "missed"
    return f"  recovery: {late_s:.2f} s after direct, wanted at most {RECOVERY_GOAL_S:g}: {word}"
