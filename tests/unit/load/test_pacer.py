import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.load.pacer import Pacer, Schedule
from gameday.proxy.timer import Entry

SECOND = 1_000_000_000
RATES = st.floats(min_value=0.01, max_value=100_000)


class ManualTimer:
    """Keeps what it was set to."""

    def __init__(self) -> None:
        self.at_ns: int | None = None

    def now_ns(self) -> int:
        return 0

    def at(self, deadline_ns: int, callback: Callable[[], None]) -> Entry:
        self.at_ns = deadline_ns
        return Entry(deadline_ns, 0, callback)

    def cancel(self, entry: Entry | None) -> None:
        self.at_ns = None


class Fired:
    """A pacer on a clock that is moved by hand, and what it fired."""

    def __init__(self, *rates: float, limit: int = 10_000, start_ns: int = 0) -> None:
        self.now_ns = start_ns
        self.operations: list[tuple[int, int, int]] = []
        self.timer = ManualTimer()
        self.pacer = Pacer(
            [Schedule(start_ns=start_ns, rate_per_s=rate) for rate in rates],
            lambda *operation: self.operations.append(operation),
            limit=limit,
            now_ns=lambda: self.now_ns,
        )
        self.pacer.run(self.timer)

    def wake_at(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.pacer.wake()


def test_a_thousand_a_second_are_due_on_whole_milliseconds() -> None:
    schedule = Schedule(start_ns=7, rate_per_s=1000)
    assert [schedule.due_ns(i) for i in range(3)] == [7, 1_000_007, 2_000_007]


@given(rate=RATES, index=st.integers(0, 10**10), start=st.integers(0, 10**18))
def test_no_error_adds_up_however_long_the_run(rate: float, index: int, start: int) -> None:
    schedule = Schedule(start_ns=start, rate_per_s=rate)
    numerator, denominator = rate.as_integer_ratio()
    error = (schedule.due_ns(index) - start) * numerator - index * SECOND * denominator
    assert -numerator < error <= 0


@given(rate=RATES, now=st.integers(-SECOND, 10**15), start=st.integers(0, 10**15))
def test_what_is_due_by_now_is_what_is_not_due_later(rate: float, now: int, start: int) -> None:
    schedule = Schedule(start_ns=start, rate_per_s=rate)
    count = schedule.due_by(now)
    assert schedule.due_ns(count) > now
    assert count == 0 or schedule.due_ns(count - 1) <= now


@given(rate=st.sampled_from([0.0, -1.0, float("inf"), float("nan")]))
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"not {rate}/s")):
        Schedule(start_ns=0, rate_per_s=rate)


@given(
    rates=st.lists(st.floats(1, 1000), min_size=1, max_size=3),
    steps=st.lists(st.integers(0, SECOND // 10), max_size=20),
)
def test_everything_due_is_fired_once_in_the_order_of_due_and_never_early(
    rates: list[float], steps: list[int]
) -> None:
    fired = Fired(*rates)
    for step in steps:
        before = len(fired.operations)
        fired.wake_at(fired.now_ns + step)
        assert all(due <= fired.now_ns for _, _, due in fired.operations[before:])
    dues = [due for _, _, due in fired.operations]
    assert dues == sorted(dues)
    for number, rate in enumerate(rates):
        indices = [index for stream, index, _ in fired.operations if stream == number]
        expected = Schedule(start_ns=0, rate_per_s=rate).due_by(fired.now_ns) if steps else 0
        assert indices == list(range(expected))


def test_a_nanosecond_early_is_too_early() -> None:
    fired = Fired(1000)
    fired.wake_at(SECOND // 1000 - 1)
    assert len(fired.operations) == 1
    fired.wake_at(SECOND // 1000)
    assert len(fired.operations) == 2


def test_a_late_wake_up_fires_all_that_was_missed() -> None:
    fired = Fired(1000)
    fired.wake_at(SECOND)
    assert len(fired.operations) == 1001


def test_the_timer_is_set_to_what_is_due_next() -> None:
    fired = Fired(100, 40)
    fired.wake_at(0)
    assert fired.timer.at_ns == SECOND // 100
    fired.wake_at(SECOND // 50)
    assert fired.timer.at_ns == SECOND // 40


def test_no_more_than_the_limit_is_fired() -> None:
    fired = Fired(1000, limit=5)
    fired.wake_at(SECOND)
    assert [index for _, index, _ in fired.operations] == [0, 1, 2, 3, 4]


def test_a_stopped_pacer_fires_nothing() -> None:
    fired = Fired(1000)
    fired.pacer.stop()
    fired.wake_at(SECOND)
    assert fired.operations == []
