"""Limits on the open files of a service."""

from dataclasses import dataclass

__all__ = ["Descriptors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """The open files of the process that takes a service's connections."""

    pid: int
    started: float
    """Tells it from another process that gets the same number later."""
    open: frozenset[int]
    soft: int
    """Every number that it may open is below this one, as the kernel says it."""

    def free(self) -> int:
        """Return how many more it may open."""
        return self.soft - sum(number < self.soft for number in self.open)

    def soft_for(self, free: int) -> int:
        """Return the limit below which so many numbers are free."""
        number = 0
        while free > 0:
            free -= number not in self.open
            number += 1
        return number
