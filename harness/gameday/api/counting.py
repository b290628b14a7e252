"""Access to a proxy that counts what passes it."""

from typing import Protocol, runtime_checkable

__all__ = ["Counting"]


@runtime_checkable
class Counting(Protocol):
    """A proxy whose counters include connections that are still open."""

    def dropped_bytes(self, name: str) -> int | None:
        """Return what the toxic of that name has swallowed; None: this server does not count."""
        ...
