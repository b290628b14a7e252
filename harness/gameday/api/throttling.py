"""Limits on the disk traffic of a service."""

from typing import Protocol

__all__ = ["DiskBounds", "Rates"]

Rates = tuple[int | None, int | None]
"""Bytes a second for reading and for writing; None: no limit."""


class DiskBounds(Protocol):
    """The limits on traffic between a service and the device that holds its data."""

    @property
    def mechanism(self) -> str:
        """What holds it, such as "cgroup v1"."""
        ...

    @property
    def device(self) -> str:
        """The device, by its numbers: "254:0"."""
        ...

    @property
    def folder(self) -> str:
        """The folder of the data, as a guest sees it."""
        ...

    def rates(self) -> Rates:
        """Return what the kernel allows now."""
        ...

    def moved(self) -> tuple[int, int]:
        """Return the bytes that were read and written within these bounds, by the kernel."""
        ...

    def hold(self, rates: Rates) -> None:
        """Let the service read and write no faster; EnvironmentRefused if it cannot be had."""
        ...

    def release(self) -> None:
        """Give back what there was before `hold`, however far that came; twice is harmless."""
        ...

    def left(self) -> str:
        """Return what is still there of `hold`; empty: nothing, and the old rates are back."""
        ...
