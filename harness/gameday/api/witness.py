"""What sees that a service is frozen all the time."""

from typing import Protocol

__all__ = ["FreezeWitness"]


class FreezeWitness(Protocol):
    """Checks cheaply whether frozen processes have been frozen ever since."""

    def thawed(self) -> str:
        """Return what shows that it has not; empty: nothing does."""
        ...
