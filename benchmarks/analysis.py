"""All findings of a million operations, as a ratio to sorting a million numbers (goal: 3)."""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gameday.analysis import analyse
from gameday.model.clock import SECOND
from gameday.testing import HistoryBuilder

GOAL = 3.0
ROUNDS = 7
OPERATIONS = 1_000_000


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> int:
    # two probes go with every ten signals, as in a run; the whole is a million rows.
    builder = HistoryBuilder(rate_per_s=10_000, probes_per_s=1000, latency="5ms")
    builder = replace(builder, lasts=round(OPERATIONS / 12_000 * SECOND))
    builder = builder.outage("20s", "22s").timeouts("30s", "31s").slow("40s", "41s", "200ms")
    builder = builder.lose(*range(1, 1000)).duplicate(*range(2000, 3000)).reorder(5000, 9000)
    observation = builder.build()
    numbers = np.random.default_rng(0).integers(0, 1 << 40, OPERATIONS)
    pairs = [
        (seconds(lambda: analyse(observation)), seconds(lambda: np.sort(numbers)))
        for _ in range(ROUNDS)
    ]
    ratio = statistics.median(ours / sort for ours, sort in pairs)
    ours, sort = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"operations: {observation.history.rows.size}")
    print(f"analyse: {ours * 1000:.0f} ms, numpy.sort: {sort * 1000:.0f} ms")
    print(f"ratio: {ratio:.2f} (goal: at most {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
