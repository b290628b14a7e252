from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resilience.backoff import Backoff

SECOND = 1_000_000_000
DOCUMENTED = Backoff(base_ns=SECOND, cap_ns=60 * SECOND, jitter=0.1)


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    base_ns = draw(st.integers(1, 10**10))
    cap_ns = draw(st.integers(base_ns, 10**12))
    return Backoff(base_ns=base_ns, cap_ns=cap_ns, jitter=draw(st.floats(0, 0.99)))


def test_the_documented_schedule_doubles_from_1_s_to_60_s() -> None:
    seconds = [DOCUMENTED.nominal_ns(n) // SECOND for n in range(1, 10)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@given(backoffs(), st.integers(1, 10**9), st.integers())
def test_no_delay_is_further_from_its_nominal_one_than_the_jitter(
    backoff: Backoff, attempt: int, seed: int
) -> None:
    nominal_ns = backoff.nominal_ns(attempt)
    delay_ns = backoff.delay_ns(attempt, Random(seed))
    assert abs(delay_ns - nominal_ns) <= nominal_ns * backoff.jitter + 1
    assert nominal_ns <= backoff.cap_ns


@given(backoffs(), st.integers(1, 100))
def test_nominal_delays_never_shrink(backoff: Backoff, attempt: int) -> None:
    assert backoff.nominal_ns(attempt) <= backoff.nominal_ns(attempt + 1)


@given(st.integers())
def test_the_same_seed_gives_the_same_delays(seed: int) -> None:
    first, second = Random(seed), Random(seed)
    for attempt in range(1, 12):
        assert DOCUMENTED.delay_ns(attempt, first) == DOCUMENTED.delay_ns(attempt, second)


def test_the_jitter_reaches_both_sides() -> None:
    random = Random(7)
    delays = [DOCUMENTED.delay_ns(7, random) for _ in range(1000)]
    assert min(delays) < 55 * SECOND
    assert max(delays) > 65 * SECOND


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        DOCUMENTED.nominal_ns(0)
