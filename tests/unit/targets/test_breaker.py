from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from resilience.breaker import Breaker, State

COOLDOWN_NS = 60
MAX_FAILURES = 10


def opened(at_ns: int = 0) -> Breaker:
    breaker = Breaker(max_failures=MAX_FAILURES, cooldown_ns=COOLDOWN_NS)
    for _ in range(MAX_FAILURES):
        assert breaker.admit(at_ns)
        breaker.failed(at_ns)
    return breaker


def test_nine_failures_leave_it_closed_and_the_tenth_opens_it() -> None:
    breaker = Breaker(max_failures=MAX_FAILURES, cooldown_ns=COOLDOWN_NS)
    states = []
    for _ in range(MAX_FAILURES):
        breaker.failed(0)
        states.append(breaker.state)
    assert states == [State.CLOSED] * (MAX_FAILURES - 1) + [State.OPEN]


def test_a_success_starts_the_count_anew() -> None:
    breaker = Breaker(max_failures=2, cooldown_ns=COOLDOWN_NS)
    for _ in range(5):
        breaker.failed(0)
        breaker.succeeded()
    assert breaker.state is State.CLOSED


def test_an_open_breaker_admits_nobody_before_its_cooldown_is_over() -> None:
    breaker = opened(at_ns=5)
    assert not breaker.admit(5 + COOLDOWN_NS - 1)
    assert breaker.wait_ns(5 + COOLDOWN_NS - 1) == 1
    assert breaker.state is State.OPEN


def test_after_the_cooldown_one_trial_is_admitted_and_no_second() -> None:
    breaker = opened()
    assert breaker.admit(COOLDOWN_NS)
    assert breaker.state is State.HALF_OPEN
    assert not breaker.admit(COOLDOWN_NS)


def test_a_failed_trial_opens_it_for_another_cooldown() -> None:
    breaker = opened()
    breaker.admit(COOLDOWN_NS)
    breaker.failed(COOLDOWN_NS + 3)
    assert breaker.state is State.OPEN
    assert breaker.wait_ns(COOLDOWN_NS + 3) == COOLDOWN_NS


def test_a_successful_trial_closes_it_and_forgets_the_failures() -> None:
    breaker = opened()
    breaker.admit(COOLDOWN_NS)
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    assert breaker.failures == 0


class Attempts(RuleBasedStateMachine):
    """Any order of time passing and attempts: the breaker agrees with a plain account of them."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(max_failures=3, cooldown_ns=COOLDOWN_NS)
        self.now_ns = 0
        self.in_a_row = 0
        self.last_failure_ns = 0
        self.under_way = False

    @rule(ns=st.integers(0, 2 * COOLDOWN_NS))
    def time_passes(self, ns: int) -> None:
        self.now_ns += ns

    @rule()
    @precondition(lambda self: not self.under_way)
    def attempt(self) -> None:
        cooled = self.now_ns - self.last_failure_ns >= COOLDOWN_NS
        self.under_way = self.breaker.admit(self.now_ns)
        assert self.under_way == (self.in_a_row < 3 or cooled)

    @rule()
    @precondition(lambda self: self.under_way)
    def fails(self) -> None:
        self.breaker.failed(self.now_ns)
        self.under_way, self.in_a_row, self.last_failure_ns = False, self.in_a_row + 1, self.now_ns

    @rule()
    @precondition(lambda self: self.under_way)
    def succeeds(self) -> None:
        self.breaker.succeeded()
        self.under_way, self.in_a_row = False, 0

    @invariant()
    def is_open_exactly_after_too_many_failures(self) -> None:
        expected = State.CLOSED
        if self.in_a_row >= 3:
            expected = State.HALF_OPEN if self.under_way else State.OPEN
        assert self.breaker.state is expected


TestAttempts = Attempts.TestCase
