"""Access to the proxy of one edge, and to a connection through it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from gameday.api.listing import ListedConnection
from gameday.api.opening import Opening
from gameday.api.service import Endpoint

__all__ = [
    "BulkDialect",
    "Dialect",
    "EdgeConnection",
    "EdgeProxy",
    "EdgeState",
    "Heard",
    "Route",
    "Seen",
    "Stream",
]

Stream = Literal["upstream", "downstream"]
"""A direction of an edge: upstream is from the client to the service."""


class Route(StrEnum):
    """The two paths to a service."""

    PROXIED = "front"
    UPSTREAM = "direct"


class Seen(StrEnum):
    """How a wait on a connection ended."""

    ANSWERED = "answered"
    CLOSED = "closed"
    RESET = "reset"
    REFUSED = "refused"
    SILENT = "silent"
    """Nothing more came within the limit."""
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    """The service answered a login, and will not serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came over one connection after a question; times count from the question."""

    seen: Seen
    reads: tuple[int, ...] = ()
    """The bytes of each read."""
    first_ns: int | None = None
    last_ns: int | None = None
    ended_ns: int | None = None
    """When the other side ended the connection, in order or not."""

    @property
    def received(self) -> int:
        """How many bytes came."""
        return sum(self.reads)


class EdgeConnection(Protocol):
    """One connection of the harness's own to a service, directly or through an edge's front."""

    @property
    def origin(self) -> Endpoint | None:
        """The address that it has on this side; None: it was never connected."""
        ...

    @property
    def opened(self) -> Seen:
        """ANSWERED once it is connected, and logged in where the service wants that."""
        ...

    @property
    def opening(self) -> Heard:
        """What came of the login; nothing where there is none."""
        ...

    @property
    def opening_sent(self) -> int:
        """How many bytes the login sent."""
        ...

    def ask(self, question: bytes, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        """Send `question` and listen."""
        ...

    def listen(self, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        """Listen for the first bytes, or until the other side ends the connection."""
        ...

    def hang_up(self, limit_ns: int) -> Heard:
        """Say that nothing more will be sent, and listen until the other side ends, too."""
        ...

    def ended(self) -> bool:
        """Tell at once whether the other side has ended it; what came meanwhile is dropped."""
        ...

    def close(self) -> None: ...


class Dialect(Protocol):
    """How a service is spoken to: with fixed bytes, so that a connection can be measured."""

    greeting: bytes
    """What a client may send, once it is logged in; every server answers at once, in few bytes."""
    farewell: bytes = b""
    """How it says that it ends the connection, if it then waits for the client to end it first."""

    def opening(self) -> Opening | None:
        """Return the login of one new connection; None: the service answers to all."""
        return None


@runtime_checkable
class BulkDialect(Dialect, Protocol):
    """Of a service that can be made to say or to read much, without a trace of it.

    Its greeting may be repeated.
    """

    def download(self, size: int) -> bytes:
        """Return a short question with an answer of at least `size` bytes, then the end."""
        ...

    def upload(self, size: int) -> bytes:
        """Return a question of at least `size` bytes with a short answer, then the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeState:
    """The proxy of an edge, as its server reports it."""

    enabled: bool
    toxics: tuple[str, ...]
    """The names of the toxics that are on it."""


class EdgeProxy(Protocol):
    """The proxy of one edge: what it is set to, and what can be seen through it.

    Every call is bounded in time. Those that set something read it back and raise
    EnvironmentRefused if it is not what was asked for.
    """

    @property
    def proxied(self) -> Endpoint:
        """Where this host reaches the proxy, with nothing in between if that can be had."""
        ...

    @property
    def upstream(self) -> Endpoint: ...

    @property
    def forwarded(self) -> bool:
        """Whether something else accepts at `front` first, and hides refusals and resets."""
        ...

    @property
    def resets_open(self) -> bool:
        """Whether its reset reaches open connections; Toxiproxy ends those in order."""
        ...

    @property
    def dialect(self) -> Dialect | None:
        """What the service at its end answers to."""
        ...

    def state(self) -> EdgeState: ...

    def enable(self) -> None: ...

    def disable(self) -> None:
        """Refuse new connections and end the open ones."""
        ...

    def add(
        self, name: str, kind: str, stream: Stream, attributes: Mapping[str, int | str]
    ) -> None:
        """Put a toxic on every connection, also the open ones."""
        ...

    def remove(self, name: str) -> None:
        """Take a toxic off; one that is not there is well removed."""
        ...

    def connections(self) -> Sequence[ListedConnection] | None:
        """Return the open ones and the latest that are over; None: this server lists none."""
        return None

    def dropped_bytes(self, name: str) -> int | None:
        """Return what the toxic of that name has swallowed; None: this server does not count."""
        return None

    def open(self, route: Route, limit_ns: int, answer_limit_ns: int = 0) -> EdgeConnection:
        """Connect, and log in; also a line that could not be opened says how that went.

        Each answer of a login may take `answer_limit_ns`; 0: as long as the connect.
        """
        ...
