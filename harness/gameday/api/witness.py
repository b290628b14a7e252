"""Continuous observation that a service is down, or frozen."""

from typing import Protocol, runtime_checkable

__all__ = ["FreezeWitness", "OwnPort", "WitnessedFreeze"]


@runtime_checkable
class OwnPort(Protocol):
    """A service whose port another process on this host could take."""

    def stranger(self) -> str | None:
        """Return who listens there and is not the service, in words; empty: nobody.

        None: nobody else could, or that cannot be seen.
        """
        ...


class FreezeWitness(Protocol):
    """Checks cheaply whether frozen processes have been frozen ever since."""

    def thawed(self) -> str:
        """Return what shows that it has not; empty: nothing does."""
        ...


@runtime_checkable
class WitnessedFreeze(Protocol):
    """A service that can be observed while it is frozen."""

    def watch_freeze(self) -> FreezeWitness | None:
        """Return who watches it from now on; None: it cannot be watched from here."""
        ...
