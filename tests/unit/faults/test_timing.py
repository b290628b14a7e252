"""What faults do with a clock is bounded, and leaves nothing out because something else failed."""

from collections.abc import Callable

import pytest

from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, first_proven, rest, timed, took_ns, undo_error, until
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.clocks import ManualClock


def nothing() -> None:
    return


def refusing(word: str) -> Callable[[], None]:
    def refuse() -> None:
        raise EnvironmentRefused(word)

    return refuse


def test_a_fact_is_asked_for_once_even_without_time_for_it() -> None:
    clock = ManualClock()
    assert until(clock, lambda: True, 0)
    assert not until(clock, lambda: False, 0)


def test_a_fact_that_does_not_come_is_waited_for_as_long_as_allowed() -> None:
    clock = ManualClock(0)
    assert not until(clock, lambda: False, SECOND)
    assert SECOND < clock.now_ns() < SECOND + 10 * MILLISECOND


def test_a_fact_that_comes_ends_the_wait() -> None:
    clock = ManualClock(0)
    assert until(clock, lambda: clock.now_ns() >= 50 * MILLISECOND, SECOND)
    assert clock.now_ns() < 60 * MILLISECOND


def test_who_rests_can_be_stopped() -> None:
    with pytest.raises(EnvironmentRefused, match="stop"):
        rest(ManualClock(), SECOND, refusing("stop"))


@pytest.mark.parametrize(("takes_ns", "took"), [(5, 5), (SECOND, SECOND), (SECOND + 1, None)])
def test_a_call_took_its_time_or_too_long(takes_ns: int, took: int | None) -> None:
    clock = ManualClock()
    assert took_ns(clock, lambda: clock.sleep_ns(takes_ns), SECOND, nothing) == took


def test_calls_are_bracketed_from_the_first_to_the_last() -> None:
    clock = ManualClock(7)
    window = timed(clock, lambda: clock.sleep_ns(1), lambda: clock.sleep_ns(2))
    assert (window.start_ns, window.end_ns) == (7, 10)
    with pytest.raises(EnvironmentRefused, match="no"):
        timed(clock, refusing("no"))


def test_each_part_of_an_undo_is_attempted_whatever_becomes_of_the_others() -> None:
    clock = ManualClock(0)
    window, trouble = attempted(clock, refusing("one"), lambda: clock.sleep_ns(3), refusing("two"))
    assert (window.end_ns, trouble) == (3, "one; two")
    assert undo_error(trouble) == {"undo_error": "one; two"}
    assert undo_error("") == {}


@pytest.mark.parametrize(
    ("proven_at", "proven", "attempts"), [(1, True, 1), (3, True, 3), (4, False, 3)]
)
def test_a_busy_host_may_spoil_two_attempts(proven_at: int, proven: bool, attempts: int) -> None:
    looks: list[int] = []

    def look() -> Proof:
        looks.append(1)
        return Proof(proven=len(looks) == proven_at, measured={"looks": len(looks)})

    pauses: list[int] = []
    proof = first_proven(look, nothing, between=lambda: pauses.append(1))
    assert proof == Proof(proven=proven, measured={"looks": attempts, "attempts": attempts})
    assert len(pauses) == attempts - 1
