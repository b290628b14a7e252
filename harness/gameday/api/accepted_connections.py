"""What may be asked of a service about those who are connected to it."""

from typing import Protocol, runtime_checkable

__all__ = ["Receiving"]


@runtime_checkable
class Receiving(Protocol):
    """A service whose connections the kernel lists, whatever the service says of them."""

    def visitors(self) -> int:
        """Return how many open connections to its port it has accepted.

        Raises EnvironmentRefused where they cannot be read.
        """
        ...
