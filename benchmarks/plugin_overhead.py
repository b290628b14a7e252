"""What an installed gameday costs a pytest run that uses no scenario.

usage: python benchmarks/plugin_overhead.py [--pairs N]

Times one empty test with the plugin and with `-p no:gameday`, interleaved and in alternating order, so
that a host that warms up or slows down does so for both. Goal: a median difference under 10 ms.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_GOAL_MS = 10.0
_LIMIT_S = 60
_WITH: tuple[str, ...] = ()
_WITHOUT = ("-p", "no:gameday")


def run_ms(folder: Path, options: Sequence[str]) -> float:
    """Return the wall time of one pytest process, from before its start to after its end."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    started_ns = time.perf_counter_ns()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_LIMIT_S)
    return (time.perf_counter_ns() - started_ns) / 1e6


def measure(folder: Path, pairs: int) -> tuple[list[float], list[float]]:
    """Return the times with the plugin and without, in ms, pair by pair."""
    for options in (_WITH, _WITHOUT):
        run_ms(folder, options)  # fills the caches of files and bytecode
    with_ms: list[float] = []
    without_ms: list[float] = []
    both = [(_WITH, with_ms), (_WITHOUT, without_ms)]
    for _ in range(pairs):
        for options, times in both:
            times.append(run_ms(folder, options))
        both.reverse()
    return with_ms, without_ms


def main() -> None:
    """Print the medians, their difference and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=40, metavar="N")
    pairs: int = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        with_ms, without_ms = measure(folder, pairs)
    differences = sorted(a - b for a, b in zip(with_ms, without_ms, strict=True))
    difference = statistics.median(differences)
    ratio = statistics.median(with_ms) / statistics.median(without_ms)
    low, _, high = statistics.quantiles(differences, n=4)
    print(f"with     median {statistics.median(with_ms):7.1f} ms")
    print(f"without  median {statistics.median(without_ms):7.1f} ms")
    print(
        f"pairs    {pairs}, median difference {difference:+.1f} ms (quartiles {low:+.1f}, {high:+.1f})"
    )
    print(f"ratio    {ratio:.3f}")
    print(f"goal     under {_GOAL_MS:g} ms: {'kept' if difference < _GOAL_MS else 'missed'}")


if __name__ == "__main__":
    main()
