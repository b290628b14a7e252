"""Episodes: spells of failures, distinguished from failures that occur in the baseline too.

Failures less than half a second apart belong to one episode, and so do failures that are further
apart where the share that fails makes such gaps likely: a gap of n successes has a chance of
(1 - share)^n. Where the baseline fails as well, an episode is the stretch that fits its own share
better than the baseline's by the likelihood ratio, and only a stretch that the baseline's share
would not bring about in one run of a hundred is one.

Where only a share of the operations fails, an episode may have begun before its first failure and
have ended after its last: by as many operations as the share near that edge lets pass with a
chance of 1 %, and its outermost failures may be the baseline's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gameday.analysis.operations import Flags, Int64s
from gameday.model.clock import SECOND

__all__ = ["Episode", "episodes"]

_APART_NS = SECOND // 2
"""A calm of this length parts two episodes, unless the share that fails makes it likely."""
_LIKELY = 0.001
"""A gap with a smaller chance than this parts two episodes."""
_UNSEEN = 0.01
"""The chance that an episode reached further than the bounds say, at each of its edges."""
_CHANCE = 0.01
"""The most that the baseline's failures may look like an episode, as a chance for a whole run."""
_EDGE = 10
"""The failures next to an edge whose share says how far the episode may reach beyond it."""
_Z = 0.8416
"""The normal quantile of 80 %: so sure is the least share that those edges rest on."""
_ALMOST_ALL = 0.999
"""Stands for the share of an episode in which everything failed, whose logarithm is finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One spell of failures, as indices of operations in the order of their due times."""

    first: int
    last: int
    failed: int
    before: int
    """By how many operations it may have begun before its first failure; at least 1."""
    after: int
    """By how many operations it may have ended after its last failure; at least 1."""
    surely_first: int
    """The first failure that is not the baseline's; `first` where the baseline has none."""
    surely_last: int

    @property
    def share(self) -> float:
        """The share of the operations from the first failure to the last that failed."""
        return self.failed / (self.last - self.first + 1)


def episodes(failed: Flags, due_ns: Int64s, since: int) -> tuple[Episode, ...]:
    """Return the episodes among the operations from index `since` on, in their order.

    Those before `since` are the baseline. Both arrays are in the order of the due times.
    """
    where = since + np.flatnonzero(failed[since:])
    if not where.size:
        return ()
    usual = int(np.count_nonzero(failed[:since])) / since if since else 0.0
    later = int(failed.size) - since
    return tuple(
        _episode(own, usual)
        for cluster in _clusters(where, due_ns)
        for own in (_fitting(cluster, usual) if usual else [cluster])
        if not usual or _unlikely(own, usual, later)
    )


def _episode(own: Int64s, usual: float) -> Episode:
    before, after = _addresses(own[:_EDGE]), _addresses(own[-_EDGE:])
    most = (int(own.size) - 1) // 2
    return Episode(
        first=int(own[0]),
        last=int(own[-1]),
        failed=int(own.size),
        before=before,
        after=after,
        surely_first=int(own[min(_strays(before * usual), most)]),
        surely_last=int(own[-1 - min(_strays(after * usual), most)]),
    )


def _strays(expected: float) -> int:
    """Return how many failures of the baseline there are at most where so many are expected.

    More have a chance below `_UNSEEN`, by Poisson.
    """
    count, chance = 0, math.exp(-expected)
    left = 1 - chance
    while left > _UNSEEN:
        count += 1
        chance *= expected / count
        left -= chance
    return count


def _clusters(where: Int64s, due_ns: Int64s) -> list[Int64s]:
    """Part the failures at every calm that is long, and too long for the share that fails."""
    apart = np.flatnonzero(np.diff(due_ns[where]) > _APART_NS) + 1
    clusters: list[Int64s] = []
    for part in np.split(where, apart):
        if clusters and part[0] - clusters[-1][-1] <= max(
            _likely_gap(clusters[-1]), _likely_gap(part)
        ):
            clusters[-1] = np.concatenate((clusters[-1], part))
        else:
            clusters.append(part)
    return clusters


def _likely_gap(own: Int64s) -> float:
    """Return how many operations may lie between two failures of this share."""
    share = _least_share(own)
    return math.log(_LIKELY) / math.log1p(-share) if share < 1 else 1.0


def _least_share(own: Int64s) -> float:
    """Return the share that failed, at least, between the first of these and the last."""
    gaps, operations = int(own.size) - 1, int(own[-1] - own[0])
    if gaps == operations:  # nothing succeeded in between
        return 1.0
    return _lower_bound(gaps, operations)


def _lower_bound(successes: int, trials: int) -> float:
    """Return Wilson's lower bound of a rate (JASA 22, 1927), one-sided with `_Z`."""
    share, spread = successes / trials, _Z * _Z / trials
    root = math.sqrt(share * (1 - share) * spread + spread * spread / 4)
    return (share + spread / 2 - root) / (1 + spread)


def _addresses(edge: Int64s) -> int:
    share = _least_share(edge)
    return math.ceil(math.log(_UNSEEN) / math.log1p(-share)) if share < 1 else 1


def _fitting(own: Int64s, usual: float) -> Iterator[Int64s]:
    """Yield the stretches of a cluster that its own share explains better than the usual one.

    Each failure counts log(share / usual), and each success log((1 - share) / (1 - usual)), which
    is below 0: a stretch goes on to its greatest sum, and ends where the sum falls below 0.
    """
    share = min(own.size / (int(own[-1] - own[0]) + 1), _ALMOST_ALL)
    if share <= usual:
        return
    gain, cost = math.log(share / usual), math.log((1 - usual) / (1 - share))
    steps = (gain - cost * (np.diff(own) - 1)).tolist()
    at = 0
    while at < own.size:
        total = most = gain
        last = at
        for number, step in enumerate(steps[at:], at + 1):
            total += step
            if total < 0:
                break
            if total > most:
                most, last = total, number
        stretch = own[at : last + 1]
        # What fitted worse has made the share look smaller than it is in this stretch.
        if stretch.size < own.size:
            yield from _fitting(stretch, usual)
        else:
            yield stretch
        at = last + 1


def _unlikely(own: Int64s, usual: float, operations: int) -> bool:
    """Tell whether failures at the usual share would hardly come this close anywhere in a run."""
    within = int(own[-1] - own[0])
    starts = max(1.0, operations * usual)
    return starts * _at_least(int(own.size) - 1, within, usual) < _CHANCE


def _at_least(successes: int, trials: int, rate: float) -> float:
    """Return the chance of `successes` or more in `trials`, bounded above by Chernoff.

    exp(-n D(k/n || rate)), with the divergence D of two coins; 1 where k/n is not above the rate.
    """
    if not trials or successes <= rate * trials:
        return 1.0
    seen = successes / trials
    divergence = seen * math.log(seen / rate)
    if seen < 1:
        divergence += (1 - seen) * math.log((1 - seen) / (1 - rate))
    return math.exp(-trials * divergence)
