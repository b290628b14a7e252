"""A kind of service: how it is started in either environment and when it is ready."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from gameday.api.clocks import Reading
from gameday.api.edge import Dialect
from gameday.api.environment import Endpoint, NotReadyError
from gameday.model.login import Logins
from gameday.model.scenario import ServiceSpec

__all__ = [
    "Attended",
    "Following",
    "HasMarkers",
    "Personal",
    "Prepared",
    "Private",
    "ServiceKind",
    "Serving",
    "Telling",
    "dialect_of",
    "end_signal_of",
    "told_by",
]


class ServiceKind(Protocol):
    """What is known of one kind; a new kind is one file with one class, listed in `KINDS`."""

    name: str
    port: int
    """The port inside a container."""
    data: str
    """Where its data are inside a container."""
    extra: str
    """The extra of gameday that installs what its client needs; empty: gameday itself does."""

    def image(self, spec: ServiceSpec) -> str:
        """Return the container image, by its official name."""
        ...

    def container_command(self, spec: ServiceSpec) -> list[str]: ...

    def missing(self, spec: ServiceSpec) -> str | None:
        """Return what this host lacks to run it as a process, with how to get it."""
        ...

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]: ...

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        """Return the environment variables that the kind itself needs."""
        ...

    def check(self, endpoint: Endpoint) -> str:
        """Return evidence that it answers by its protocol, with a write; NotReadyError if not."""
        ...


@runtime_checkable
class HasMarkers(Protocol):
    """A kind that can keep a word among its data, so that it shows whose data they are."""

    def plant(self, spec: ServiceSpec, endpoint: Endpoint, marker: str) -> None:
        """Store the marker. Raises NotReadyError."""
        ...

    def finds(self, spec: ServiceSpec, endpoint: Endpoint, marker: str) -> bool:
        """Tell whether the marker is stored. Raises NotReadyError."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A kind whose server needs more than its command to run as a process of this host."""

    end_signal: signal.Signals
    """What asks it to end without waiting for those who are connected."""

    @property
    def account(self) -> int | None:
        """The account to run as where this one will not do, which then owns the data folder."""
        ...

    def prepare(self, spec: ServiceSpec, *, home: Path) -> None:
        """Make what a start needs in the data folder; called before every start, kept by all.

        Raises EnvironmentRefused with the words of what failed.
        """
        ...


def end_signal_of(kind: ServiceKind) -> signal.Signals:
    """Return what asks a server of that kind to end: its own ending, else SIGTERM."""
    return kind.end_signal if isinstance(kind, Prepared) else signal.SIGTERM


@runtime_checkable
class Attended(Protocol):
    """A kind that comes with programs which find its server by environment variables."""

    def companion_variables(self, *, port: int, home: Path) -> Mapping[str, str]:
        """Return the variables by which such a program finds the server as it was started last.

        In a container they go without saying.
        """
        ...


@runtime_checkable
class Private(Protocol):
    """A kind that answers only to those who log in."""

    def check_as(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """Do what `check` does, as the admin of `spec`."""
        ...


@runtime_checkable
class Following(Protocol):
    """A kind that copies another service, its primary: the one and only that it needs.

    It finds the primary as every service finds what it needs, by `<NEED>_HOST` and `<NEED>_PORT`
    among its variables: so it goes through the edge, where a fault can cut it off.
    """

    primary: str
    """The kind of service that it copies."""


@runtime_checkable
class Personal(Protocol):
    """A kind that converses only with those who log in."""

    login_keys: Sequence[str]
    """The variables by which a target may name the services' login, in the official image's words.

    Only `environment` passes them on: in the image they may mean the admin.
    """

    def new_logins(self, spec: ServiceSpec) -> Logins:
        """Return logins with new passwords, and what the target says of the services' one."""
        ...

    def dialect_as(self, spec: ServiceSpec) -> Dialect:
        """Return how the service is spoken to, as its services do."""
        ...


def dialect_of(kind: ServiceKind, spec: ServiceSpec) -> Dialect | None:
    """Return how such a service is spoken to; None: nobody knows."""
    if isinstance(kind, Personal):
        return kind.dialect_as(spec)
    return kind if isinstance(kind, Dialect) else None


@runtime_checkable
class Serving(Protocol):
    """A kind whose server is one program of this host."""

    def program(self) -> Path | None: ...


@runtime_checkable
class Telling(Protocol):
    """A kind that tells its own time by its protocol."""

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        """Ask it, with the shortest question that it answers. Raises NotReadyError."""
        ...


def told_by(kind: ServiceKind, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
    """Return what a service of that kind says of the time; NotReadyError if it says nothing."""
    if not isinstance(kind, Telling):
        raise NotReadyError(f"{spec.name}: a service of kind {spec.kind} does not tell the time")
    return kind.tell(spec, endpoint)
