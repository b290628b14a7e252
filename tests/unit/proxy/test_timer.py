import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gameday.proxy import timer as timers
from gameday.proxy.timer import DeadlineTimer

MS = 1_000_000


@pytest.fixture(params=["timerfd", "the loop's own timers"], autouse=True)
def wakes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What wakes the timer: that of the kernel, or the loop's where a kernel has none."""
    wakes = str(request.param)
    if wakes != "timerfd":
        monkeypatch.setattr(timers, "_open_alarm", lambda: None)
    return wakes


def with_timer(use: Callable[[DeadlineTimer], Awaitable[None]]) -> None:
    async def run() -> None:
        timer = DeadlineTimer(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(2):
                await use(timer)
        finally:
            timer.close()

    asyncio.run(run())


def test_call_backs_run_in_the_order_of_their_instants_and_never_early() -> None:
    ran: list[tuple[int, int]] = []

    async def use(timer: DeadlineTimer) -> None:
        done = asyncio.Event()
        start_ns = time.monotonic_ns()
        for delay_ms in (6, 2, 4, 0, -5):
            due_ns = start_ns + delay_ms * MS
            timer.at(due_ns, lambda d=due_ns: ran.append((d, time.monotonic_ns())))  # type: ignore[misc]
        timer.at(start_ns + 7 * MS, done.set)
        await done.wait()

    with_timer(use)
    assert [due for due, _ in ran] == sorted(due for due, _ in ran)
    assert all(ran_ns >= due for due, ran_ns in ran)
    assert len(ran) == 5


def test_it_says_whether_the_kernel_wakes_it(wakes: str) -> None:
    async def use(timer: DeadlineTimer) -> None:
        assert timer.is_kernels == (wakes == "timerfd")

    with_timer(use)


def test_a_loop_that_wakes_too_early_is_not_believed() -> None:
    ran: list[int] = []

    async def use(timer: DeadlineTimer) -> None:
        timer.at(time.monotonic_ns() + 1000 * MS, lambda: ran.append(1))
        timer._run_due()

    with_timer(use)
    assert ran == []


def test_a_closed_timer_runs_nothing() -> None:
    ran: list[int] = []

    async def use(timer: DeadlineTimer) -> None:
        timer.at(time.monotonic_ns() + MS, lambda: ran.append(1))
        timer.close()
        await asyncio.sleep(0.005)

    with_timer(use)
    assert ran == []


def test_a_cancelled_call_back_does_not_run_and_the_next_one_does() -> None:
    ran: list[str] = []

    async def use(timer: DeadlineTimer) -> None:
        done = asyncio.Event()
        now_ns = time.monotonic_ns()
        entries = [timer.at(now_ns + MS, lambda: ran.append("no")) for _ in range(2000)]
        timer.at(now_ns + 2 * MS, done.set)
        for entry in entries:
            timer.cancel(entry)
        await done.wait()
        timer.cancel(entries[0])
        timer.cancel(None)

    with_timer(use)
    assert ran == []


def test_a_call_back_that_raises_does_not_take_the_others_with_it() -> None:
    async def use(timer: DeadlineTimer) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        done = asyncio.Event()
        now_ns = time.monotonic_ns()
        timer.at(now_ns, lambda: 1 // 0)  # type: ignore[arg-type]
        timer.at(now_ns, done.set)
        await done.wait()

    with_timer(use)


def test_a_call_back_may_ask_for_the_next_one() -> None:
    async def use(timer: DeadlineTimer) -> None:
        done = asyncio.Event()
        left = [20]

        def again() -> None:
            left[0] -= 1
            if left[0]:
                timer.at(time.monotonic_ns() + MS // 10, again)
            else:
                done.set()

        timer.at(0, again)
        await done.wait()

    with_timer(use)


def test_call_backs_without_end_leave_the_loop_to_others() -> None:
    async def use(timer: DeadlineTimer) -> None:
        over = False
        give_up_ns = time.monotonic_ns() + 2000 * MS

        def again() -> None:
            if not over and time.monotonic_ns() < give_up_ns:
                timer.at(0, again)

        timer.at(0, again)
        for _ in range(5):
            await asyncio.sleep(0)
        over = True
        assert time.monotonic_ns() < give_up_ns

    with_timer(use)
