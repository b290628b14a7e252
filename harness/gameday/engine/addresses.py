"""The running target: load reaches it by the fronts of its edges, control reads directly."""

from collections.abc import Collection

from gameday.api.environment import Endpoint, Environment
from gameday.errors import EnvironmentRefused
from gameday.http_reader import HttpReader, NoReply
from gameday.load.ledger import read_status
from gameday.load.load import StreamPlan
from gameday.model.history import Connections
from gameday.model.plan import PlannedStream
from gameday.model.scenario import Edge, Target
from gameday.model.targeting import breaks
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
        """Ask every app that has a connection to what was hit what became of it.

        Raises EnvironmentRefused when one does not tell.
        """
        apps = {spec.name for spec in self._target.services if spec.program is not None}
        lost: dict[str, int] = {}
        restored: dict[str, int] = {}
        for edge in self._target.edges:
            if edge.client not in apps or not any(breaks(target, edge) for target in hit):
                continue
            try:
                status = read_status(self.reader(edge.client))
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
