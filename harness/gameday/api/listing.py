"""What the proxy of an edge tells of each of its connections."""

from dataclasses import dataclass

__all__ = ["Came", "ListedConnection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What one side has sent to the proxy, forwarded or not; times are its own clock."""

    bytes: int
    last_ns: int | None
    """When the last of them came; None: nothing did."""
    ended_ns: int | None
    """When that side ended what it sends; None: it may send more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedConnection:
    """A connection as its proxy sees it."""

    number: int
    """Which one of the proxy's it is, from 1; none has the number of another."""
    client: str
    """The address of the client, or of what forwards for it: "127.0.0.1:40000"."""
    upstream: Came
    downstream: Came
