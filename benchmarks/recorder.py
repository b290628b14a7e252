"""Cost of recording an operation as a ratio to a list of slotted dataclasses, in one run.

`python benchmarks/recorder.py`: exits with 1 when a ratio is over its goal. The recorder's time
is that of all three of its calls: taken, sent, done.
"""

import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from gameday.load.recorder import ROWS, Recorder
from gameday.model.operation import ROW, Operation, Outcome, StreamInfo

OPERATIONS = 200_000
PAIRS = 5
GOAL_TIME = 1.0
GOAL_BYTES = 0.15
BASE_NS = 10**15


def record(count: int) -> tuple[float, float]:
    """Return ns and bytes per operation of the recorder; its bytes are those of its file."""
    with tempfile.TemporaryDirectory() as folder:
        stream = StreamInfo(index=0, name="publish", rate_per_s=1.0, deadline_ns=1)
        recorder = Recorder(Path(folder), run="ab", streams=[stream], capacity=count)
        start = time.perf_counter_ns()
        for index in range(count):
            at_ns = BASE_NS + index
            slot = recorder.due(0, index + 1, at_ns)
            recorder.sent(slot, at_ns + 1)
            recorder.done(slot, at_ns + 2, Outcome.OK)
        took = time.perf_counter_ns() - start
        recorder.close()
        size = (Path(folder) / ROWS).stat().st_size
    assert size == count * ROW.size
    return took / count, size / count


def append(count: int) -> float:
    """Return ns per operation of appending dataclasses to a list."""
    operations: list[Operation] = []
    start = time.perf_counter_ns()
    for index in range(count):
        operations.append(operation(index))  # noqa: PERF401
    return (time.perf_counter_ns() - start) / count


def operation(index: int) -> Operation:
    """Return the operation that `record` records."""
    at_ns = BASE_NS + index
    return Operation(
        stream=0,
        value=index + 1,
        due_ns=at_ns,
        sent_ns=at_ns + 1,
        done_ns=at_ns + 2,
        outcome=Outcome.OK,
    )


def list_bytes(count: int) -> float:
    """Return bytes per operation of a list of dataclasses."""
    tracemalloc.start()
    operations = [operation(index) for index in range(count)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(operations)


def main() -> int:
    """Print the medians and return the exit code."""
    ours, theirs = [], []
    size = 0.0
    for _ in range(PAIRS):
        took, size = record(OPERATIONS)
        ours.append(took)
        gc.collect()
        theirs.append(append(OPERATIONS))
    time_ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    dataclass_size = list_bytes(OPERATIONS // 10)
    print(f"recorder    {statistics.median(ours):6.0f} ns/op {size:6.0f} B/op")
    print(f"dataclasses {statistics.median(theirs):6.0f} ns/op {dataclass_size:6.0f} B/op")
    print(f"time ratio {time_ratio:.2f}x, goal {GOAL_TIME}x")
    print(f"bytes ratio {size / dataclass_size:.2f}x, goal {GOAL_BYTES}x")
    return 0 if time_ratio <= GOAL_TIME and size / dataclass_size <= GOAL_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
