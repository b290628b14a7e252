"""A clock that only moves when it is told to."""

__all__ = ["ManualClock"]


class ManualClock:
    """Time as a number: sleeping moves it, and nothing else does."""

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_ns(self, duration_ns: int) -> None:
        self._now_ns += max(0, duration_ns)
