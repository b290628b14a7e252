"""A service whose data folder can be filled or made read-only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from gameday.api.environment import Killable, Ran

__all__ = ["HasDataDir"]


@runtime_checkable
class HasDataDir(Killable, Protocol):
    """A service whose data are in a known folder."""

    @property
    def data_folder(self) -> str:
        """Where its data are, as its processes see it; EnvironmentRefused if that is not known."""
        ...

    @property
    def disk_bytes(self) -> int | None:
        """What its data folder can hold; None: as much as the host's disk."""
        ...

    def service_user(self) -> str:
        """Return who its living main process is, as "user:group" in numbers."""
        ...

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        """Run a command where its data folder is, also while the service is dead.

        Raises EnvironmentRefused if it cannot be started or takes longer than `limit_ns`.
        """
        ...

    def host_folder(self) -> Path | None:
        """Return its bounded data folder by a path of this host; None: it has none there."""
        ...
