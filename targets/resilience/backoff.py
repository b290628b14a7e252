"""How long to wait before the next attempt: a pure function of what has failed so far."""

from dataclasses import dataclass
from random import Random

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that double from `base_ns` to `cap_ns`, each spread by ±`jitter` of itself.

    The jitter comes after the cap, so the longest delay is `cap_ns` plus its jitter: services
    that have all reached the cap must not return in step either.
    """

    base_ns: int
    cap_ns: int
    jitter: float

    def nominal_ns(self, attempt: int) -> int:
        """Return the delay before attempt 1, 2, 3, … without its jitter."""
        if attempt < 1:
            raise ValueError(f"attempts count from 1, not from {attempt}")
        # An exponent without a bound would build huge integers during a long outage.
        doublings = min(attempt - 1, self.cap_ns.bit_length())
        return min(self.base_ns << doublings, self.cap_ns)

    def delay_ns(self, attempt: int, random: Random) -> int:
        """Return the delay before attempt 1, 2, 3, …; the same seed gives the same delays."""
        return round(self.nominal_ns(attempt) * random.uniform(1 - self.jitter, 1 + self.jitter))
