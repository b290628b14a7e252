"""What may be asked of an environment that sees the ways that traffic takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gameday.model.scenario import Edge

__all__ = ["Metered", "Paths", "Traced", "Traffic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the proxy of an edge has read since it was made, the harness's own traffic with it."""

    upstream_bytes: int
    """From clients, towards the service."""
    downstream_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The open connections of an edge's client that lead to its service."""

    through: int
    """Those to the edge's proxy."""
    around: int
    """Those to the service itself, which no fault on the edge reaches."""


@runtime_checkable
class Metered(Protocol):
    """An environment whose proxies count bytes."""

    def traffic(self) -> Mapping[Edge, Traffic]:
        """Return what passed each edge; may end every connection, so nothing is measured after it.

        Raises EnvironmentRefused when a proxy does not tell.
        """
        ...


@runtime_checkable
class Traced(Protocol):
    """An environment that can look at the connections of its services."""

    def paths(self, edge: Edge) -> Paths | None:
        """Return the ways that the edge's client has open; None where they cannot be seen."""
        ...
