"""What may be asked of a service about those who are connected to it."""

from typing import Protocol, runtime_checkable

__all__ = ["AcceptsConnections"]


@runtime_checkable
class AcceptsConnections(Protocol):
    """A service whose connections the kernel lists, whatever the service says of them."""

    def accepted_connections(self) -> int:
        """Return how many open connections to its port it has accepted.

        Raises EnvironmentRefused where they cannot be read.
        """
        ...
