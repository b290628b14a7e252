"""One proxy per edge, at an address that survives restarts."""

from collections.abc import Iterable, Mapping

from gameday.api.environment import Endpoint
from gameday.api.traffic import Traffic
from gameday.edge.servers import Counters, ProxyControl
from gameday.model.scenario import Edge

__all__ = ["Edges", "proxy_name", "traffic_of", "traffic_so_far"]


def proxy_name(edge: Edge) -> str:
    """Return the name of the edge's proxy: an arrow would have to be escaped in a URL."""
    return f"{edge.client}.{edge.service}"


class Edges:
    """The proxies of a target's edges, all on one proxy server."""

    def __init__(self, control: ProxyControl) -> None:
        self._control = control
        self._fronts: dict[Edge, Endpoint] = {}

    def open(self, edge: Edge, *, listen: str, upstream: str, http: bool = False) -> None:
        """Put a proxy before an edge; port 0 of `listen` lets the host choose."""
        address = self._control.create(proxy_name(edge), listen, upstream, http=http)
        host, _, bound = address.rpartition(":")
        self._fronts[edge] = Endpoint(host=host, port=int(bound))

    def proxied(self, edge: Edge) -> Endpoint:
        return self._fronts[edge]


def traffic_of(
    edges: Iterable[Edge], read: Mapping[str, tuple[int, int]]
) -> Mapping[Edge, Traffic]:
    """Return by edge what its proxy has read, upstream and downstream; `read` has it by name."""
    found = {edge: read.get(proxy_name(edge), (0, 0)) for edge in edges}
    return {
        edge: Traffic(upstream_bytes=up, downstream_bytes=down)
        for edge, (up, down) in found.items()
    }


def traffic_so_far(
    edges: Iterable[Edge], controls: Iterable[ProxyControl]
) -> Mapping[Edge, Traffic] | None:
    """Return by edge what its proxy counts live; None where a server has no such counters."""
    found: dict[str, Counters] = {}
    for control in controls:
        counted = control.counters()
        if counted is None:
            return None
        found |= counted
    return {
        edge: Traffic(
            upstream_bytes=counters.bytes_upstream,
            downstream_bytes=counters.bytes_downstream,
            connections=counters.connections_total,
        )
        for edge, counters in ((edge, found[proxy_name(edge)]) for edge in edges)
    }
