"""Delays that are drawn: none pass for others, nor what a busy host adds for a jitter."""

import pytest

from gameday.faults.network.distribution import Drawn
from gameday.model.clock import MILLISECOND, SECOND

EVEN = Drawn(
    distribution="uniform", delay_ns=20 * MILLISECOND, jitter_ns=20 * MILLISECOND, directions=1
)
BUSY_MS = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0)
"""What every tenth of the exchanges takes longer on a host that is busy with itself."""


def times_ns(drawn: Drawn, *, delay_ms: float, jitter_ms: float) -> list[int]:
    """Return evenly drawn delays, with what a busy host adds to them."""
    count = drawn.samples
    # Neighbours of a sequence that goes about in strides meet each of the additions alike.
    parts = [(37 * number % count + 0.5) / count for number in range(count)]
    return [
        round((delay_ms + (2 * part - 1) * jitter_ms + BUSY_MS[n % len(BUSY_MS)]) * MILLISECOND)
        for n, part in enumerate(parts)
    ]


def test_an_even_jitter_shows_on_a_busy_host() -> None:
    fits, measured = EVEN.compare(times_ns(EVEN, delay_ms=20, jitter_ms=20))
    assert fits, measured


@pytest.mark.parametrize(
    ("delay_ms", "jitter_ms"),
    [(0, 0), (20, 0), (20, 7), (20, 40), (35, 20), (8, 20)],
    ids=["neither", "no-jitter", "a-third-of-it", "twice-as-much", "later", "earlier"],
)
def test_delays_of_another_size_do_not_pass_for_an_even_jitter(
    delay_ms: float, jitter_ms: float
) -> None:
    fits, measured = EVEN.compare(times_ns(EVEN, delay_ms=delay_ms, jitter_ms=jitter_ms))
    assert not fits, measured


@pytest.mark.parametrize("jitter_ms", [5, 10])
def test_what_a_busy_host_adds_is_no_jitter_however_small_the_one_asked_for(
    jitter_ms: int,
) -> None:
    small = Drawn(
        distribution="uniform",
        delay_ns=10 * MILLISECOND,
        jitter_ns=jitter_ms * MILLISECOND,
        directions=1,
    )
    assert small.compare(times_ns(small, delay_ms=10, jitter_ms=jitter_ms))[0]
    for delay_ms in (0, 10):
        fits, measured = small.compare(times_ns(small, delay_ms=delay_ms, jitter_ms=0))
        assert not fits, measured


def test_answers_that_never_came_are_late_ones() -> None:
    came = times_ns(EVEN, delay_ms=20, jitter_ms=20)
    assert not EVEN.compare(came[: EVEN.samples // 2])[0]
    assert not EVEN.compare([])[0]


def test_long_delays_are_compared_by_fewer_samples() -> None:
    slow = Drawn(distribution="uniform", delay_ns=2 * SECOND, jitter_ns=SECOND, directions=1)
    assert slow.samples < EVEN.samples
    assert slow.compare(times_ns(slow, delay_ms=2000, jitter_ms=1000))[0]
    assert not slow.compare(times_ns(slow, delay_ms=2000, jitter_ms=0))[0]
    assert not slow.compare(times_ns(slow, delay_ms=2000, jitter_ms=2000))[0]
