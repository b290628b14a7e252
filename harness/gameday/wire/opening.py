"""What is said on a new connection until it can be used."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Login", "Opening", "TurnedAway"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who a client is, and which part of the server it wants."""

    user: str = ""
    password: str = ""
    database: str = ""
    """PostgreSQL's database, or RabbitMQ's virtual host."""


class TurnedAway(Exception):
    """The server answered, and will not serve this client; the text has its reason."""


class Opening(Protocol):
    """One side of a login. It has a bounded number of turns, whatever the server says."""

    @property
    def done(self) -> bool:
        """Whether the connection can be used."""
        ...

    def start(self) -> bytes:
        """Return what a client says first."""
        ...

    def hear(self, data: bytes) -> bytes:
        """Take what came, in pieces of any size, and return what to say now, if anything.

        Raises TurnedAway.
        """
        ...
