"""Limits on the open files of a service."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

__all__ = ["Descriptors", "Filing"]


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


@runtime_checkable
class Filing(Protocol):
    """A service in which one process accepts connections, and whose open files can be limited."""

    def descriptors(self) -> Descriptors:
        """Read them from the kernel; EnvironmentRefused where nobody may look."""
        ...

    def limit_descriptors(self, of: Descriptors, soft: int) -> None:
        """Set the soft limit of that very process; does nothing if it has ended."""
        ...
