"""Access to the connections that a service has accepted."""

from typing import Protocol, runtime_checkable

__all__ = ["AcceptsConnections"]


@runtime_checkable
class AcceptsConnections(Protocol):
    """A service whose connections the kernel lists, whatever the service says itself."""

    def accepted_connections(self) -> int:
        """Return how many open connections to its port it has accepted.

        Raises EnvironmentRefused where they cannot be read.
        """
        ...
