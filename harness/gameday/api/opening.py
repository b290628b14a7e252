"""What is exchanged on a new connection before it can be used."""

from typing import Protocol

from gameday.model.login import Login

__all__ = ["Login", "Opening", "TurnedAway"]


class TurnedAway(Exception):
    """The server answered and refuses this client; the text has its reason."""


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
