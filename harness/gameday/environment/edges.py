"""The stable front: one proxy an edge, at an address that no restart changes."""

from gameday.environment.protocol import Endpoint
from gameday.environment.proxies import ProxyControl
from gameday.model.scenario import Edge

__all__ = ["Edges", "proxy_name"]


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

    def front(self, edge: Edge) -> Endpoint:
        return self._fronts[edge]
