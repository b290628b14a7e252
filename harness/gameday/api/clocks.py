"""A service whose own wall clock can be set and read."""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Reading", "read_between"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a service's clock said, and the host's times before and after asking."""

    told_ns: int
    """Since 1970, by the service's clock."""
    before_ns: int
    """Of this host's monotonic clock."""
    after_ns: int
    wall_ns: int
    """What makes a time since 1970 of this host's monotonic one."""

    @property
    def ahead_ns(self) -> tuple[int, int]:
        """How far the service is ahead of this host, at least and at most."""
        least = self.told_ns - (self.after_ns + self.wall_ns)
        return least, least + self.after_ns - self.before_ns


def read_between(tell: Callable[[], int]) -> Reading:
    """Ask a clock, once, and keep the moments before and after."""
    wall_ns = time.time_ns() - time.monotonic_ns()
    before_ns = time.monotonic_ns()
    told_ns = tell()
    after_ns = time.monotonic_ns()
    return Reading(told_ns=told_ns, before_ns=before_ns, after_ns=after_ns, wall_ns=wall_ns)
