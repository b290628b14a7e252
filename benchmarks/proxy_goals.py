"""The goals of the proxy beside Toxiproxy, and whether the rounds of a benchmark can tell them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles

DIRECT_P99_LIMIT_US = 250.0
OVERSHOOT_LIMIT_US = 500.0
JUDGED_DELAYS_MS = (5, 20)
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


def verdict(
    what: str, value: float, noise: Sequence[float], bound: float, *, least: bool, unsteady: str
) -> str:
    """Say whether `value` is at least, or at most, `bound`, unless its noise forbids to."""
    low, _, high = quantiles(noise, n=4) if len(noise) > 1 else (-float("inf"), 0, float("inf"))
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
            pairs = zip(own, seen[peer], strict=True)
            ratios = [one.figures[name] / max(1.0, two.figures[name]) for one, two in pairs]
            why = "" if least else unsteady
            what = f"{name}, of {peer}'s"
            yield verdict(what, median(ratios), ratios, bound, least=least, unsteady=why)
    for ms in JUDGED_DELAYS_MS if "toxiproxy" in seen else ():
        yield from _overshoot_verdicts(own, seen["toxiproxy"], ms, unsteady)


def _overshoot_verdicts(
    own: Sequence[Round], other: Sequence[Round], ms: int, unsteady: str
) -> Iterator[str]:
    def both(which: Sequence[int]) -> tuple[float, float]:
        ours, theirs = (
            over_us([rounds[index] for index in which], ms, 0.99) for rounds in (own, other)
        )
        return ours, ours / max(1.0, theirs)

    # The noise of a quantile is that of the same over rounds that are drawn from these.
    random = Random(1)
    drawn = [both(random.choices(range(len(own)), k=len(own))) for _ in range(200)]
    seen = both(range(len(own)))
    what = f"{ms} ms delay, over by p99"
    for index, (unit, bound) in enumerate((("us", OVERSHOOT_LIMIT_US), ("of toxiproxy's", 0.5))):
        noise = [each[index] for each in drawn]
        yield verdict(f"{what}, {unit}", seen[index], noise, bound, least=False, unsteady=unsteady)


def recovery_verdict(recovery_s: float, direct_s: float) -> str:
    """Say whether connections are answered about as early as without a proxy."""
    late_s = recovery_s - direct_s
    word = "met" if late_s <= RECOVERY_GOAL_S else "missed"
    return f"  recovery: {late_s:.2f} s after direct, wanted at most {RECOVERY_GOAL_S:g}: {word}"
