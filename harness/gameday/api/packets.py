"""Access to the packets of services that have a network of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gameday.api.edge import Dialect, EdgeConnection
from gameday.api.environment import Endpoint, Environment
from gameday.model.scenario import Edge

__all__ = ["Datagrams", "Drop", "Network", "Networked", "Tally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Packets that are dropped at a service; a field that is left out matches any."""

    peer: str = ""
    """The address of the other side."""
    own_port: int = 0
    """The service's own port, of TCP and, so that it can be measured with packets, of UDP."""
    peer_port: int = 0
    """The port of the other side, likewise."""
    leaving: bool = False
    """Those that leave the service, not those that arrive at it."""
    share: float = 1.0
    """Which part of them, drawn for each packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the kernel has counted for one `Drop` since it was added."""

    met: int
    """The packets that it is about."""
    dropped: int


class Network(Protocol):
    """The network of one service, which nothing else shares.

    Every call is bounded in time and raises EnvironmentRefused if it cannot be done.
    """

    @property
    def address(self) -> str: ...

    def drop(self, chain: str, drops: Sequence[Drop]) -> None:
        """Let these packets vanish from now on, also those of open connections."""
        ...

    def lift(self, chain: str) -> None:
        """Remove all of that name; what is not there is well removed."""
        ...

    def tallies(self, chain: str) -> tuple[Tally, ...]:
        """Return the counts in the order of the drops; nothing if nothing of that name is in."""
        ...

    def left(self, chain: str) -> int:
        """Return how many rules and chains of that name there are."""
        ...

    def open(
        self, endpoint: Endpoint, limit_ns: int, dialect: Dialect | None = None
    ) -> EdgeConnection:
        """Connect from inside, as the service would, and log in where `dialect` wants that."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagrams:
    """Single packets from one service to another, which nothing repeats."""

    sender: str
    """A service, or the harness's "client", which is this host."""
    receiver: str
    count: int
    from_port: int = 0
    """0: any."""
    to_port: int = 0


@runtime_checkable
class Networked(Environment, Protocol):
    """An environment in which each service has a network of its own."""

    def network(self, service: str) -> Network: ...

    def inner_proxied(self, edge: Edge) -> Endpoint:
        """Return where the client of an edge, being a service, finds the edge's proxy."""
        ...

    def new_chain(self) -> str:
        """Return a name for what is dropped, by which it is found, and is this run's."""
        ...

    def send(self, datagrams: Datagrams) -> int:
        """Return how many of them arrived."""
        ...
