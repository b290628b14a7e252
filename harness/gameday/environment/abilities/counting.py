"""What may be asked of the proxy of an edge that counts what each toxic does."""

from typing import Protocol, runtime_checkable

__all__ = ["Counting"]


@runtime_checkable
class Counting(Protocol):
    """A proxy that tells how many bytes never arrived."""

    def dropped_bytes(self, name: str) -> int | None:
        """Return what the toxic of that name has swallowed; None: this server does not count."""
        ...
