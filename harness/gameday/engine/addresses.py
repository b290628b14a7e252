"""The running target: load reaches it by the fronts of its edges, control reads directly."""

from collections.abc import Collection

from gameday.api.environment import Endpoint, Environment
from gameday.api.service_kind import TellsConnections
from gameday.errors import EnvironmentRefused
from gameday.http_reader import HttpReader, NoReply
from gameday.load.load import StreamPlan
from gameday.model.history import Connections
from gameday.model.plan import PlannedStream
from gameday.model.scenario import Edge, Target
from gameday.model.targeting import breaks
from gameday.registry import KINDS
from gameday.runtimes.kinds import login_of

__all__ = ["Addresses"]


class Addresses:
    """The addresses of one environment's target, once it is started."""

    def __init__(self, target: Target, environment: Environment) -> None:
        self._target = target
        self._environment = environment

    def reader(self, service: str) -> HttpReader:
        """Return what reads from a service past every proxy, which a fault may have broken."""
        direct = self._environment.service(service).upstream
        return HttpReader(direct.host, direct.port)

    def stream(self, planned: PlannedStream) -> StreamPlan:
        """Return a planned stream with its address: an edge's front, or a service's direct one."""
        at = self._address(planned.edge)
        spec = self._environment.service(planned.edge.rpartition(" -> ")[2]).spec
        return StreamPlan(
            name=planned.name,
            client=planned.client,
            host=at.host,
            port=at.port,
            rate_per_s=planned.rate_per_s,
            deadline_ns=planned.deadline_ns,
            login=login_of(spec),
        )

    def connections(self, hit: Collection[str]) -> Connections:
        """Ask every service that can tell and has a connection to what was hit what became of it.

        Raises EnvironmentRefused when one does not tell.
        """
        kinds = {spec.name: KINDS[spec.kind] for spec in self._target.services}
        lost: dict[str, int] = {}
        restored: dict[str, int] = {}
        for edge in self._target.edges:
            kind = kinds.get(edge.client)
            if not isinstance(kind, TellsConnections) or not any(breaks(t, edge) for t in hit):
                continue
            try:
                status = kind.status(self._environment.service(edge.client).upstream)
            except NoReply as error:
                raise EnvironmentRefused(
                    f"{edge.client} does not tell its connections: {error}"
                ) from error
            lost[edge.client], restored[edge.client] = status.lost, status.restored
        return Connections(lost=lost, restored=restored)

    def _address(self, edge: str) -> Endpoint:
        client, arrow, service = edge.partition(" -> ")
        if arrow:
            return self._environment.proxied(Edge(client=client, service=service))
        return self._environment.service(edge).upstream
