"""What may be asked of the proxy of an edge that counts what passes it."""

from typing import Protocol, runtime_checkable

__all__ = ["Counting"]


@runtime_checkable
class Counting(Protocol):
    """A proxy that counts live, also over connections that are still open."""

    def dropped_bytes(self, name: str) -> int | None:
        """Return what the toxic of that name has swallowed; None: this server does not count."""
        ...
