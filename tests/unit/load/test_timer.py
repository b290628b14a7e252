import asyncio
import time
from collections.abc import Callable

import pytest

from gameday.load.timer import KernelTimer, LoopTimer, Timer, open_timer

MILLISECOND = 1_000_000

Open = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Timer]


async def _rings(make: Open, *offsets_ns: int) -> list[int]:
    """Return how late each ring was; the next one is set when the last has come."""
    late: list[int] = []
    done = asyncio.Event()
    left = list(offsets_ns)
    at_ns = 0

    def set_next() -> None:
        nonlocal at_ns
        at_ns = time.monotonic_ns() + left.pop(0)
        timer.ring_at(at_ns)

    def wake() -> None:
        late.append(time.monotonic_ns() - at_ns)
        if left:
            set_next()
        else:
            done.set()

    timer = make(asyncio.get_running_loop(), wake)
    set_next()
    await asyncio.wait_for(done.wait(), 5)
    timer.close()
    return late


@pytest.mark.parametrize("make", [KernelTimer, LoopTimer, open_timer])
def test_it_rings_once_each_time_it_is_set_and_never_early(make: Open) -> None:
    late = asyncio.run(_rings(make, MILLISECOND, 3 * MILLISECOND, -MILLISECOND, 0))
    assert len(late) == 4
    assert min(late) >= 0


def test_a_loop_that_rings_too_early_is_not_believed() -> None:
    async def run() -> list[int]:
        rung: list[int] = []
        timer = LoopTimer(asyncio.get_running_loop(), lambda: rung.append(1))
        timer.ring_at(time.monotonic_ns() + 1000 * MILLISECOND)
        timer._ring()
        timer.close()
        return rung

    assert asyncio.run(run()) == []


@pytest.mark.parametrize("make", [KernelTimer, LoopTimer])
def test_a_closed_timer_does_not_ring(make: Open) -> None:
    async def run() -> list[int]:
        rung: list[int] = []
        timer = make(asyncio.get_running_loop(), lambda: rung.append(1))
        timer.ring_at(time.monotonic_ns() + MILLISECOND)
        timer.close()
        await _rings(make, 5 * MILLISECOND)
        return rung

    assert asyncio.run(run()) == []
