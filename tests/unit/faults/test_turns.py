"""Turns are proven when a whole time down and a whole time up are as long as asked for."""

import pytest

from gameday.api.fault import Proof
from gameday.faults.network.turns import watch_turns
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.clocks import ManualClock


def watched(clock: ManualClock, *, down_ms: int, up_ms: int) -> Proof:
    """Ask for one second down and two up, of what takes other times."""

    def is_up() -> bool:
        return clock.now_ns() % ((down_ms + up_ms) * MILLISECOND) >= down_ms * MILLISECOND

    return watch_turns(
        clock,
        is_up,
        down_ns=SECOND,
        up_ns=2 * SECOND,
        least_tolerance_ns=50 * MILLISECOND,
        checkpoint=lambda: None,
    )


@pytest.mark.parametrize(
    ("down_ms", "up_ms", "proven"),
    [
        (1000, 2000, True),
        (1090, 1820, True),
        (1200, 2000, False),
        (800, 2000, False),
        (1000, 2300, False),
        (1000, 1700, False),
    ],
)
def test_both_times_have_to_be_as_long_as_asked(down_ms: int, up_ms: int, proven: bool) -> None:
    proof = watched(ManualClock(0), down_ms=down_ms, up_ms=up_ms)
    assert proof.proven is proven, proof.measured


@pytest.mark.parametrize(("down_ms", "up_ms"), [(100_000, 1), (0, 1)])
def test_what_does_not_change_is_watched_for_a_bounded_time(down_ms: int, up_ms: int) -> None:
    clock = ManualClock(0)
    proof = watched(clock, down_ms=down_ms, up_ms=up_ms)
    assert not proof.proven
    assert clock.now_ns() <= 3 * SECOND
