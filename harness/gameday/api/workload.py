"""A workload: what is driven against a target, and the record of what became of it."""

from typing import ClassVar, Protocol

from gameday.http_reader import HttpReader
from gameday.model.clock import Clock
from gameday.model.history import Deliveries
from gameday.model.scenario import WorkloadSpec

__all__ = ["Ledger", "Workload", "surge_of"]


class Ledger(Protocol):
    """The receiver's own record of one run, read while the run lasts and once more at its end."""

    def poll(self) -> None:
        """Read what is new; a service that does not answer now is asked again later."""
        ...

    def seen(self) -> Deliveries:
        """Return what has been read so far."""
        ...

    def since(self, at_ns: int) -> Deliveries:
        """Return what reads showed that ended at that moment or later."""
        ...

    def final_read(self) -> Deliveries:
        """Return the whole record, read anew. Raises NoReply if it is not given, whole, in time."""
        ...

    def close(self) -> None: ...


class Workload(WorkloadSpec, Protocol):
    """A verb of the `workload:` list: a frozen dataclass of its parameters."""

    client: ClassVar[str]
    """Where the driver finds the `LoadClient` of its operations, as "module:object"."""

    @property
    def rate_per_s(self) -> float: ...

    @property
    def deadline_ns(self) -> int: ...

    def open_ledger(self, reader: HttpReader, run: str, clock: Clock | None = None) -> Ledger:
        """Return the record of a run, which `reader` reads past every proxy."""
        ...


def surge_of(run: str) -> str:
    """Return the run that the operations of a surge belong to, which is nobody's own."""
    return f"{run}.surge"
