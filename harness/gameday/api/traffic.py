"""Access to an environment that sees which paths traffic takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gameday.model.scenario import Edge

__all__ = ["Metered", "Paths", "Traced", "Traffic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the proxy of an edge has read since it started, including the harness's own traffic."""

    upstream_bytes: int
    """From clients, towards the service."""
    downstream_bytes: int
    connections: int = 0
    """That it has accepted; counted only where there are live counters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The connections of an edge's client that lead to its service, each by the client's port."""

    through: frozenset[int] = frozenset()
    """Those to the edge's proxy."""
    around: frozenset[int] = frozenset()
    """Those to the service itself, which no fault on the edge reaches."""
    around_closed: frozenset[int] = frozenset()
    """Such that were closed lately, where that is known."""


@runtime_checkable
class Metered(Protocol):
    """An environment whose proxies count bytes.

    Both calls raise EnvironmentRefused when a proxy does not answer.
    """

    def traffic_so_far(self) -> Mapping[Edge, Traffic] | None:
        """Return what has passed each edge up to now; None where that is counted only later."""
        ...

    def traffic(self) -> Mapping[Edge, Traffic]:
        """Return what passed each edge. It may end every connection: nothing is measured after."""
        ...


@runtime_checkable
class Traced(Protocol):
    """An environment that can look at the connections of its services."""

    def paths(self, edge: Edge) -> Paths | None:
        """Return the ways that the edge's client has open, and those that it is known to have had.

        A look takes milliseconds at most, and may be taken on a thread of its own. None: it cannot
        be seen.
        """
        ...

    def arrivals(self, service: str) -> frozenset[int] | None:
        """Return the far ports of all connections to the service itself, whoever made them.

        Those of its proxies are among them, and those that were closed lately. None: `paths`
        tells all that can be known.
        """
        ...
