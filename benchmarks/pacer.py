"""Schedule lag of gameday's pacer as a ratio to a loop of asyncio.sleep, in one run.

`python benchmarks/pacer.py`: exits with 1 when the median ratio of the p99s is over the goal, and
with 2 when the host was too busy to tell. A pair counts only if the host was quiet: a p99 cannot
be told apart from the host's own stalls when those are about as many as one in a hundred.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gameday.load.noise_meter import HostNoiseMeter
from gameday.load.pacer import Pacer, Schedule
from gameday.proxy.timer import DeadlineTimer

RATE_PER_S = 1000.0
OPERATIONS = 1000
PAIRS = 5
TRIES = 20
QUIET = 0.005
"""The share of 1 ms sleeps that may wake over 1 ms late in a pair that counts."""
GOAL = 0.25
SECOND = 1_000_000_000


async def sleeping(start_ns: int) -> list[int]:
    """Pace by sleeping until each operation is due, the loop that one would write."""
    schedule = Schedule(start_ns=start_ns, rate_per_s=RATE_PER_S)
    late = []
    for index in range(OPERATIONS):
        due_ns = schedule.due_ns(index)
        wait_ns = due_ns - time.monotonic_ns()
        if wait_ns > 0:
            await asyncio.sleep(wait_ns / SECOND)
        late.append(time.monotonic_ns() - due_ns)
    return late


async def paced(start_ns: int) -> list[int]:
    """Pace by gameday's pacer."""
    late: list[int] = []
    done = asyncio.Event()

    def fire(_stream: int, _index: int, due_ns: int) -> None:
        late.append(time.monotonic_ns() - due_ns)
        if len(late) == OPERATIONS:
            done.set()

    schedule = Schedule(start_ns=start_ns, rate_per_s=RATE_PER_S)
    pacer = Pacer([schedule], fire, limit=OPERATIONS)
    timer = DeadlineTimer(asyncio.get_running_loop(), ahead_ns=0)
    pacer.run(timer)
    await asyncio.wait_for(done.wait(), 10 * OPERATIONS / RATE_PER_S)
    timer.close()
    return late


def pair(folder: Path) -> tuple[float, float]:
    """Return the ratio of the p99s, and the share of late wake-ups of an idle sleeper meanwhile."""
    meter = HostNoiseMeter(folder, folder / "hiccups.log")
    (folder / "hiccups.bin").unlink(missing_ok=True)
    meter.start()
    p99s = []
    start_ns = time.monotonic_ns()
    for pace in (paced, sleeping):
        late = sorted(asyncio.run(pace(time.monotonic_ns() + SECOND // 100)))
        p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
        text = f"{pace.__name__} p50 {p50 / 1000:.0f} us, p99 {p99 / 1000:.0f} us"
        print(text, end="; ")
        p99s.append(p99)
    sleeps = (time.monotonic_ns() - start_ns) / (SECOND / 1000)
    noise = len(meter.stop(driver_cpu=0.0).hiccup_ns) / sleeps
    print(f"late wake-ups of the host {noise:.2%}")
    return p99s[0] / p99s[1], noise


def main() -> int:
    """Print each pair and return the exit code."""
    quiet: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TRIES):
            ratio, noise = pair(Path(folder))
            if noise <= QUIET:
                quiet.append(ratio)
            if len(quiet) == PAIRS:
                break
    if len(quiet) < PAIRS:
        print(f"cannot tell: {len(quiet)} quiet pairs of {TRIES}, {PAIRS} are needed")
        return 2
    ratio = statistics.median(quiet)
    print(f"p99 ratio at {RATE_PER_S:.0f}/s: {ratio:.2f}x asyncio.sleep, goal {GOAL}x")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
