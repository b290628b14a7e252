"""A kind of service: how it is started in either runtime and when it is ready."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from gameday.api.clocks import Reading
from gameday.api.edge import Dialect
from gameday.api.environment import Endpoint, NotReadyError
from gameday.extras import Missing
from gameday.model.login import Logins
from gameday.model.scenario import ServiceSpec

__all__ = [
    "Probe",
    "ServiceKind",
    "ServiceStatus",
    "TellsConnections",
    "TellsTime",
    "keeps_all_connections",
    "speaks_http",
    "tells_time",
    "told_by",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The operation by which the load driver sees whether a service serves."""

    name: str
    """What plan.json calls it, such as "http-ready"."""
    client: str
    """Where the driver, a process of its own, finds its `LoadClient`, as "module:object"."""
    writes: bool = True
    """Whether it writes: the first store that a fault hits is written to on both of its paths."""


@runtime_checkable
class ServiceKind(Protocol):
    """What is known of one kind: a class that derives from this one; a `Technology` brings it.

    It has to say what has no value here; the rest is for kinds that have more.
    """

    name: str
    port: int
    """The port inside a container."""
    data: str
    """Where its data are inside a container."""
    probe: Probe | None = None
    """How a service is seen to serve while it is loaded; None: only the load itself shows it."""
    own: Sequence[str] = ()
    """For a kind that runs a Python program which the target names: what that is told of itself."""
    speaks_http: bool = False
    """Whether it answers HTTP, so that single requests can be delayed or answered otherwise."""
    one_process: bool = False
    """Whether one process keeps all of its connections."""
    primary: str = ""
    """The kind of service that it copies, which is the first one that it needs; empty: none.

    It finds that as every service finds what it needs, by `<NEED>_HOST` and `<NEED>_PORT` among
    its variables: so it goes through the edge, where a fault can cut it off.
    """
    end_signal: signal.Signals = signal.SIGTERM
    """What asks its server to end without waiting for those who are connected."""
    login_keys: Sequence[str] = ()
    """The variables by which a target may name the services' login, in the official image's words.

    Only `environment` passes them on: in the image they may mean the admin.
    """

    def image(self, spec: ServiceSpec) -> str:
        """Return the container image, by its official name."""
        ...

    def container_command(self, spec: ServiceSpec) -> list[str]: ...

    def missing(self, spec: ServiceSpec) -> str | None:
        """Return what this host lacks to run it as a process, with how to get it."""
        ...

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]: ...

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """Return evidence that it answers by its protocol, with a write; NotReadyError if not."""
        ...

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        """Return the environment variables that the kind itself needs."""
        return {}

    def dialect(self, spec: ServiceSpec) -> Dialect | None:
        """Return how the service is spoken to, as its clients do; None: nobody knows."""
        return None

    def new_logins(self, spec: ServiceSpec) -> Logins:
        """Return logins with new passwords, and what the target says of the services' one.

        Without a user, where the service answers to all.
        """
        return Logins()

    @property
    def account(self) -> int | None:
        """The account to run as where this one will not do, which then owns the data folder."""
        return None

    def prepare(self, spec: ServiceSpec, *, home: Path) -> None:
        """Make what a process needs in its data folder; called before every start, kept by all.

        Raises EnvironmentRefused with the words of what failed.
        """
        return

    def client_missing(self) -> Missing | None:
        """Return what of the packages that speak to it cannot be used here; None: nothing."""
        return None

    def program(self) -> Path | None:
        """Return the program of this host that is its server; None: it is not one program."""
        return None

    def companion_variables(self, *, port: int, home: Path) -> Mapping[str, str]:
        """Return how the programs that come with it find the server as it was started last.

        In a container they go without saying.
        """
        return {}

    def plant(self, spec: ServiceSpec, endpoint: Endpoint, marker: str) -> bool:
        """Store a marker, which shows whose data they are; False: the kind cannot.

        Raises NotReadyError.
        """
        return False

    def finds(self, spec: ServiceSpec, endpoint: Endpoint, marker: str) -> bool:
        """Tell whether the marker is stored. Raises NotReadyError."""
        return False


@runtime_checkable
class TellsTime(Protocol):
    """A kind that tells its own time by its protocol."""

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        """Ask it, with the shortest question that it answers. Raises NotReadyError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """What a service says of its connection to what it needs."""

    connected: bool
    lost: int
    restored: int
    given_up: bool


@runtime_checkable
class TellsConnections(Protocol):
    """A kind whose services tell what became of their connections."""

    def status(self, endpoint: Endpoint) -> ServiceStatus:
        """Ask a service. Raises NoReply if it does not tell."""
        ...


def speaks_http(kind: ServiceKind) -> bool:
    """For faults that can hit only such kinds."""
    return kind.speaks_http


def keeps_all_connections(kind: ServiceKind) -> bool:
    """For faults that can hit only kinds of which one process keeps all connections."""
    return kind.one_process


def tells_time(kind: ServiceKind) -> bool:
    """For faults that can hit only kinds which tell their time by their protocol."""
    return isinstance(kind, TellsTime)


def told_by(kind: ServiceKind, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
    """Return what a service of that kind says of the time; NotReadyError if it says nothing."""
    if not isinstance(kind, TellsTime):
        raise NotReadyError(f"{spec.name}: a service of kind {spec.kind} does not tell the time")
    return kind.tell(spec, endpoint)
