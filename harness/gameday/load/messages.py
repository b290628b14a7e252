"""What a run and its load driver say to each other: one JSON object a line, either way."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gameday.api.opening import Login
from gameday.model.clock import SECOND

__all__ = ["DriverReport", "DriverSpec", "StreamPlan"]

_SPARE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream of operations: who is asked for what, how often, and how long it may take."""

    name: str
    """"publish", "probe-front" or "probe-direct"; the history calls the stream by it."""
    client: str
    """What it speaks, such as "publish": a name that the registry knows."""
    host: str
    port: int
    rate_per_s: float
    deadline_ns: int
    login: Login = field(default_factory=Login)
    """For those who are asked who they are."""
    connections: int | None = None
    """The most of an HTTP client; None: as many as an open loop needs."""

    @property
    def needs(self) -> int:
        """How many connections an open loop needs of a service that answers nothing at all.

        That is one for each operation between its due time and its deadline, and a quarter more,
        for a connection is closed a moment after its deadline.
        """
        return math.ceil(1.25 * self.rate_per_s * self.deadline_ns / SECOND) + _SPARE


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSpec:
    """Everything that a driver has to know before it can begin; the first line that it reads."""

    run: str
    folder: Path
    capacity: int
    """The operations after which the driver offers no more."""
    streams: tuple[StreamPlan, ...]
    clients: Mapping[str, str]
    """Where to find what the streams speak, as "module:object", by its name."""
    path: tuple[str, ...] = ()
    """Where to look for modules that are not among the driver's own."""

    def to_json(self) -> str:
        """Return the one line that `from_json` reads back."""
        return json.dumps({**asdict(self), "folder": str(self.folder)})

    @classmethod
    def from_json(cls, line: str | bytes) -> "DriverSpec":
        """Return the spec that `to_json` wrote."""
        fields = json.loads(line)
        streams: Sequence[Mapping[str, object]] = fields["streams"]
        return cls(
            run=fields["run"],
            folder=Path(fields["folder"]),
            capacity=fields["capacity"],
            streams=tuple(_stream(stream) for stream in streams),
            clients=fields["clients"],
            path=tuple(fields["path"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverReport:
    """How well the driver kept its schedule; the last line that it writes."""

    offered: int
    """The operations that came due."""
    rows: int
    """The operations that the history holds; less than `offered` only at its capacity."""
    cpu_share: float
    """The share of one core that the driver used from its beginning to its stop."""
    lateness_p50_ns: int
    """From the moment when an operation was due to the moment when it was taken up."""
    lateness_p99_ns: int
    lateness_max_ns: int
    held: int
    """The operations that waited because the driver may open no more connections."""

    @property
    def shortage(self) -> str:
        """Say what to do when the driver ran out of connections; empty when it did not."""
        if not self.held:
            return ""
        return (
            f"{self.held} operations waited because the load driver could not open more "
            "connections; raise the limit of open files (ulimit -Hn), or lower the rate or "
            "the deadline"
        )


def _stream(fields: Mapping[str, object]) -> StreamPlan:
    login: Mapping[str, str] = fields["login"]  # type: ignore[assignment]
    return StreamPlan(**{**fields, "login": Login(**login)})  # type: ignore[arg-type]
