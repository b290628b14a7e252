"""What goes on in the background has its turns when they are due, and none once it is ended."""

from collections.abc import Iterator

import pytest

from gameday.model.clock import MINUTE, SECOND, Clock, MonotonicClock
from gameday.testing.clocks import ManualClock


def every_second(clock: Clock, turns: list[int]) -> Iterator[int]:
    for number in range(1, 4):
        yield number * SECOND
        turns.append(clock.now_ns())


def test_turns_are_taken_at_their_own_times_while_somebody_sleeps() -> None:
    clock, turns = ManualClock(0), list[int]()
    task = clock.in_background(every_second(clock, turns), "t")
    clock.sleep_ns(SECOND - 1)
    assert (turns, task.alive()) == ([], True)
    clock.sleep_ns(MINUTE)
    assert (turns, task.alive()) == ([SECOND, 2 * SECOND, 3 * SECOND], False)
    assert clock.now_ns() == SECOND - 1 + MINUTE


def test_what_was_ended_has_no_further_turn() -> None:
    clock, turns = ManualClock(0), list[int]()
    task = clock.in_background(every_second(clock, turns), "t")
    clock.sleep_ns(SECOND)
    task.end(0)
    task.end(0)
    clock.sleep_ns(MINUTE)
    assert (turns, task.alive()) == ([SECOND], False)


def test_two_tasks_take_their_turns_in_the_order_of_time() -> None:
    clock, order = ManualClock(0), list[str]()

    def at(moments: list[int], name: str) -> Iterator[int]:
        for moment in moments:
            yield moment
            order.append(f"{name}{clock.now_ns()}")

    clock.in_background(at([1, 4], "a"), "a")
    clock.in_background(at([2, 3], "b"), "b")
    clock.sleep_ns(10)
    assert order == ["a1", "b2", "b3", "a4"]


def test_a_turn_that_sleeps_lets_time_pass_for_everybody_else() -> None:
    clock, order = ManualClock(0), list[int]()

    def slow() -> Iterator[int]:
        yield 5
        clock.sleep_ns(100)

    clock.in_background(slow(), "slow")
    clock.in_background(every_second(clock, order), "t")
    clock.sleep_ns(10)
    assert clock.now_ns() == 105


@pytest.mark.parametrize("due_ns", [0, 10**6 * MINUTE], ids=["due", "waits"])
def test_a_thread_takes_turns_that_are_due_and_ends_while_it_waits(due_ns: int) -> None:
    turns: list[int] = []

    def once() -> Iterator[int]:
        yield due_ns
        turns.append(due_ns)

    task = MonotonicClock().in_background(once(), "t")
    if not due_ns:
        while task.alive():
            pass
    task.end(SECOND)
    assert not task.alive()
    assert turns == ([] if due_ns else [0])
