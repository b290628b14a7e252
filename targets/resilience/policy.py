"""The REDIS_RECONNECT_* variables, read once and known to be right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from resilience.backoff import Backoff
from resilience.breaker import Breaker

__all__ = ["BadSetting", "ReconnectPolicy"]

_MS = 1_000_000
# The document fixes the cool-down and gives it no variable.
_COOLDOWN_NS = 60_000 * _MS


class BadSetting(ValueError):
    """A variable of the environment is wrong; the message names it, its value and what fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectPolicy:
    """How a lost connection is won back."""

    backoff: Backoff
    max_failures: int
    cooldown_ns: int = _COOLDOWN_NS

    def breaker(self) -> Breaker:
        """Return a new breaker with the limits of this policy."""
        return Breaker(max_failures=self.max_failures, cooldown_ns=self.cooldown_ns)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the four variables, with the document's defaults where one is not set.

        Raises BadSetting, which tells everything that is wrong in one line.
        """
        problems: list[str] = []

        def number(name: str, default: str, low: float, high: float, what: str) -> float:
            text = env.get(f"REDIS_RECONNECT_{name}", default)
            try:
                value = float(text) if what == "a number" else int(text)
                if low <= value <= high:
                    return value
            except ValueError:
                pass
            problems.append(
                f"REDIS_RECONNECT_{name} is {text!r}; wanted {what} from {low} to {high}"
            )
            return low

        whole = "a whole number"
        max_failures = int(number("MAX_FAILURES", "10", 1, 1_000_000, whole))
        base_ms = int(number("BASE_DELAY_MS", "1000", 1, 3_600_000, whole))
        max_ms = int(number("MAX_DELAY_MS", "60000", 1, 3_600_000, whole))
        jitter = number("JITTER_PCT", "0.1", 0, 0.99, "a number")
        if not problems and max_ms < base_ms:
            problems.append(
                f"REDIS_RECONNECT_MAX_DELAY_MS is {max_ms}; "
                f"wanted at least REDIS_RECONNECT_BASE_DELAY_MS, which is {base_ms}"
            )
        if problems:
            raise BadSetting("; ".join(problems))
        backoff = Backoff(base_ns=base_ms * _MS, cap_ns=max_ms * _MS, jitter=jitter)
        return cls(backoff=backoff, max_failures=max_failures)
