"""What an installed gameday costs a pytest run that uses no scenario.

usage: python benchmarks/plugin_overhead.py [--pairs N]

Times one empty test with the plugin and with `-p no:gameday`, interleaved and in alternating order,
so that a host that slows down does so for both. Goal: a median difference under 10 ms of wall time.
The processor time beside it is what to look at on a busy host, where wall time is mostly waiting.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_GOAL_MS = 10.0
_LIMIT_S = 60
_WITH: tuple[str, ...] = ()
_WITHOUT = ("-p", "no:gameday")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one pytest process took, from before its start to after its end."""

    wall_ms: float
    cpu_ms: float


def run(folder: Path, options: Sequence[str]) -> Cost:
    """Return what pytest with these options cost."""
    # Pytest rewrites the asserts of every plugin, and users keep what comes out as bytecode.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    cpu_s, wall_s = _children_cpu_s(), time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environ, check=True, capture_output=True, timeout=_LIMIT_S
    )
    return Cost(
        wall_ms=(time.perf_counter() - wall_s) * 1e3, cpu_ms=(_children_cpu_s() - cpu_s) * 1e3
    )


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(folder: Path, pairs: int) -> tuple[list[Cost], list[Cost]]:
    """Return the costs with the plugin and without, pair by pair."""
    with_plugin: list[Cost] = []
    without: list[Cost] = []
    both = [(_WITH, with_plugin), (_WITHOUT, without)]
    for options, _ in both:
        run(folder, options)  # fills the caches of files and bytecode
    for _ in range(pairs):
        for options, costs in both:
            costs.append(run(folder, options))
        both.reverse()
    return with_plugin, without


def compare(name: str, with_ms: Sequence[float], without_ms: Sequence[float]) -> float:
    """Print one kind of time, and return the median difference of its pairs."""
    differences = [a - b for a, b in zip(with_ms, without_ms, strict=True)]
    low, difference, high = statistics.quantiles(differences, n=4)
    base = statistics.median(without_ms)
    ratio = statistics.median(with_ms) / base
    print(
        f"{name:<10} without {base:7.1f} ms, with {difference:+6.1f} ms"
        f" (quartiles {low:+.1f}, {high:+.1f}), ratio {ratio:.3f}"
    )
    return difference


def main() -> None:
    """Print the medians of both kinds of time, and whether the goal is kept."""
    parser = argparse.ArgumentParser(description="What gameday costs a run without scenarios.")
    parser.add_argument("--pairs", type=int, default=40, metavar="N")
    pairs: int = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        with_plugin, without = measure(folder, pairs)
    wall_ms = compare("wall", [c.wall_ms for c in with_plugin], [c.wall_ms for c in without])
    compare("processor", [c.cpu_ms for c in with_plugin], [c.cpu_ms for c in without])
    print(
        f"{pairs} pairs; goal under {_GOAL_MS:g} ms: {'kept' if wall_ms < _GOAL_MS else 'missed'}"
    )


if __name__ == "__main__":
    main()
