"""What a look of the conductor costs at 1.8 million operations, as a ratio to one at 18 thousand.

`python benchmarks/watching.py`: exits with 1 when the ratio is over the goal.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from gameday.engine.steady_state import SteadyStateMonitor
from gameday.http_reader import HttpReader
from gameday.load.recorder import ROWS, Recorder
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.history import ROW_DTYPE, FaultTimes
from gameday.model.operation import Outcome, StreamInfo
from gameday.model.result import Window
from gameday.model.scenario import Scenario, Steady
from gameday.model.units import parse_limit
from gameday.technologies.app.ledger import RecordLedger

RATE_PER_S = 1000
FEW, MANY = 18_000, 1_800_000
ROUNDS = 51
GOAL = 2.0
STREAM = StreamInfo(index=0, name="publish", rate_per_s=RATE_PER_S, deadline_ns=SECOND)


class Known(RecordLedger):
    """A ledger that has been read up to here."""

    def __init__(self, rows: "np.ndarray[tuple[int], np.dtype[np.void]]") -> None:
        super().__init__(HttpReader("127.0.0.1", 1), "run")
        self._seen.values = rows["value"].tolist()
        self._seen.received = self._seen.shown = rows["done_ns"].tolist()
        self._seen.intact = [True] * len(rows)

    def poll(self) -> None:
        """Nothing is new."""


def looks(folder: Path, count: int) -> tuple[float, float]:
    """Return how long a look took, and one in recovery, in seconds."""
    rows = np.zeros(count, ROW_DTYPE)
    rows["due_ns"] = SECOND + np.arange(count) * (SECOND // RATE_PER_S)
    rows["sent_ns"] = rows["due_ns"]
    rows["done_ns"] = rows["due_ns"] + MILLISECOND
    rows["value"], rows["outcome"] = np.arange(1, count + 1), Outcome.OK
    recorder = Recorder(folder, run="run", streams=[STREAM], capacity=count)
    (folder / ROWS).write_bytes(rows.tobytes())
    steady = Steady(success=parse_limit(">= 99%"), p99=parse_limit("<= 50ms"), for_ns=5 * SECOND)
    scenario = SimpleNamespace(steady=steady, safety=SimpleNamespace(stop=None))
    watch = SteadyStateMonitor(folder, Known(rows), cast(Scenario, scenario))
    watch.start()
    now_ns = int(rows["done_ns"][-1]) + 100 * MILLISECOND
    at = Window(start_ns=5 * SECOND, end_ns=5 * SECOND)
    fault = FaultTimes(injected=at, proven_ns=at.end_ns, undone=at, undo_proven_ns=at.end_ns)
    watch.look(now_ns)
    seconds = (
        _median(lambda: watch.look(now_ns)),
        _median(lambda: watch.has_recovered([fault], SECOND, now_ns)),
    )
    watch.close()
    recorder.close()
    return seconds


def _median(work: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> int:
    worst = 0.0
    found = []
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            found.append(looks(Path(folder), count))
    for name, few, many in zip(("a look", "a look in recovery"), *found, strict=True):
        worst = max(worst, many / few)
        print(f"{name}: {few * 1000:.2f} ms at {FEW}, {many * 1000:.2f} ms at {MANY} operations")
    print(f"ratio: {worst:.2f} (goal: at most {GOAL})")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
