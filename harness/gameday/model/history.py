"""The rows of a run's history and everything else that analysis may look at, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gameday.model.operation import ROW_FIELDS, StreamInfo
from gameday.model.result import Window
from gameday.model.scenario import Steady

__all__ = [
    "ROW_DTYPE",
    "Connections",
    "Deliveries",
    "FaultTimes",
    "History",
    "HostNoise",
    "Observation",
    "Rows",
]

ROW_DTYPE = np.dtype(list(ROW_FIELDS))
Rows = NDArray[np.void]


def _no_spells() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Every operation that came due, in the order of its slot; unfinished ones are PENDING."""

    rows: Rows
    streams: tuple[StreamInfo, ...]
    errors: tuple[str, ...]
    """The texts that the rows' `error` numbers stand for; number 0 is the empty text."""

    def stream(self, name: str) -> StreamInfo:
        """Return the stream of that name; KeyError when the history has none."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)

    def of(self, name: str) -> Rows:
        """Return the rows of one stream."""
        rows: Rows = self.rows[self.rows["stream"] == self.stream(name).index]
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The receiving service's own record, in the order in which it received: the final read."""

    value: NDArray[np.uint32]
    received_ns: NDArray[np.int64]
    """On the host's monotonic clock, stamped by the receiver; not before a read that lacked it."""
    intact: NDArray[np.bool_]
    """Whether the checksum fits the value."""
    backdated: int = 0
    """How many the receiver stamped with a time at which a read of its record lacked them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTimes:
    """When a fault was requested, proven, undone and proven healed; absolute monotonic ns."""

    injected: Window
    """The bracket [call start, call return]."""
    proven_ns: int | None
    undone: Window | None
    undo_proven_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """What the services themselves counted of their connections during the run."""

    lost: Mapping[str, int]
    """Connections lost, by service."""
    restored: Mapping[str, int]
    """Of those, the ones that were established again, by service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNoise:
    """How much the host and the harness's own processes stalled during the measurement.

    Each kind of stall is two columns: when it ended, absolute, and how long it was.
    """

    hiccup_at_ns: NDArray[np.int64]
    """When a late wake-up ended, absolute."""
    hiccup_ns: NDArray[np.int64]
    """How late a sleeper of 1 ms woke, in a process of its own; only wake-ups over 1 ms late."""
    disk_at_ns: NDArray[np.int64]
    """When a slow sync ended, absolute."""
    disk_ns: NDArray[np.int64]
    """How long a block took to the disk, tried each 50 ms; only syncs of over 5 ms."""
    busy: float
    """The share of all processors' time that anybody used, the hypervisor too, 0 to 1."""
    steal: float
    """The share of processor time that the hypervisor took, 0 to 1."""
    cpu_pressure: float | None
    """The share of time in which something waited for a processor. None: it is not counted."""
    io_pressure: float | None
    """The share of time in which something waited for a disk. None: it is not counted."""
    driver_cpu: float
    """The share of one core that the load driver used, 0 to 1."""
    crowding: float = 1.0
    """How many threads ran on each processor or waited for it, on average; at least 1."""
    lateness_p99_ns: int = 0
    """The 99th percentile of how late the driver took an operation up, from when it was due."""
    late_at_ns: NDArray[np.int64] = field(default_factory=_no_spells)
    """When the driver took up an operation late, absolute."""
    late_ns: NDArray[np.int64] = field(default_factory=_no_spells)
    """How late that was; only operations over 1 ms late. Waiting for the system is not in it."""
    proxy_at_ns: NDArray[np.int64] = field(default_factory=_no_spells)
    """When a slow answer of the proxy to its heartbeat came, absolute."""
    proxy_ns: NDArray[np.int64] = field(default_factory=_no_spells)
    """How long the proxy took to answer, asked each 20 ms; only answers of over 5 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that was seen of one run; analysis is a function of this and nothing else."""

    history: History
    deliveries: Deliveries | None
    """None when the final read could not be made."""
    unread: str = ""
    """Why it could not."""
    faults: tuple[FaultTimes, ...]
    start_ns: int
    """The zero of every time that a report shows."""
    load: Window
    """When load was offered, absolute."""
    steady: Steady
    connections: Connections | None = None
    noise: HostNoise | None = None
