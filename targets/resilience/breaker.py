"""When to stop trying: a circuit breaker that is told the time and reads no clock."""

from enum import StrEnum

__all__ = ["Breaker", "State"]


class State(StrEnum):
    """What a breaker lets through: everything, nothing, or one trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `max_failures` in a row, and after `cooldown_ns` lets one trial through.

    The trial decides: success closes the breaker, failure opens it for another cool-down.
    Whoever was admitted must report `succeeded` or `failed`.
    """

    def __init__(self, *, max_failures: int, cooldown_ns: int) -> None:
        self._max_failures = max_failures
        self._cooldown_ns = cooldown_ns
        self._opened_ns = 0
        self._state = State.CLOSED
        self._failures = 0

    @property
    def state(self) -> State:
        """What the breaker lets through now."""
        return self._state

    @property
    def failures(self) -> int:
        """How many attempts have failed since the last success."""
        return self._failures

    def wait_ns(self, now_ns: int) -> int:
        """Return how long an open breaker stays shut to everybody; 0 for any other state."""
        if self._state is not State.OPEN:
            return 0
        return max(0, self._opened_ns + self._cooldown_ns - now_ns)

    def admit(self, now_ns: int) -> bool:
        """Tell whether an attempt may be made now, and count it as under way."""
        if self._state is State.CLOSED:
            return True
        if self._state is State.OPEN and self.wait_ns(now_ns) == 0:
            self._state = State.HALF_OPEN
            return True
        return False

    def succeeded(self) -> None:
        """Close: the service is back."""
        self._state = State.CLOSED
        self._failures = 0

    def failed(self, now_ns: int) -> None:
        """Count a failure, and open when it was the trial or one too many."""
        self._failures += 1
        if self._state is State.HALF_OPEN or self._failures >= self._max_failures:
            self._state = State.OPEN
            self._opened_ns = now_ns
