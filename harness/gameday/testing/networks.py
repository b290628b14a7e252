"""Networks of services in memory, to test what is done to packets without a packet."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from gameday.api.edge import Dialect, EdgeConnection, Heard, Seen
from gameday.api.environment import Endpoint
from gameday.api.packets import Datagrams, Drop, Tally
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import CLIENT, Edge
from gameday.testing.edges import EdgedEnvironment

__all__ = ["MemoryNetwork", "NetworkedEnvironment"]

_FIRST_FRONT = 21000
_ANSWER_NS = MILLISECOND
_RESENT_NS = 200 * MILLISECOND


@dataclass(slots=True, kw_only=True)
class MemoryNetwork:
    """A network that drops what it is told to; each of its defects is a field."""

    environment: "NetworkedEnvironment"
    service: str
    chains: dict[str, list[Drop]] = field(default_factory=dict)
    counts: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"10.0.0.{1 + [*self.environment.services].index(self.service)}"

    def drop(self, chain: str, drops: Sequence[Drop]) -> None:
        if self.environment.refuses == self.service:
            raise EnvironmentRefused("the packet filter gives no answer")
        self.chains[chain] = list(drops)
        self.counts[chain] = [[0, 0] for _ in drops]

    def lift(self, chain: str) -> None:
        if not self.environment.lifts:
            raise EnvironmentRefused("the packet filter keeps its rules")
        gone = self.chains.pop(chain, [])
        if self.environment.lingers:
            self.chains["ghost"] = gone
            self.counts["ghost"] = [[0, 0] for _ in gone]

    def tallies(self, chain: str) -> tuple[Tally, ...]:
        if chain not in self.chains or not self.environment.counts:
            return ()
        return tuple(Tally(met=met, dropped=dropped) for met, dropped in self.counts[chain])

    def left(self, chain: str) -> int:
        if not self.environment.readable:
            raise EnvironmentRefused("the packet filter cannot be read")
        return len(self.chains.get(chain, ()))

    def open(
        self, endpoint: Endpoint, limit_ns: int, dialect: Dialect | None = None
    ) -> EdgeConnection:
        return _MemoryLine(self.environment, self.service, endpoint)

    def passes(self, *, peer: str, own_port: int, peer_port: int, count: int) -> int:
        """Return how many of some packets that arrive here are not dropped."""
        for chain, drops in self.chains.items():
            for drop, counts in zip(drops, self.counts[chain], strict=True):
                matches = (
                    drop.peer in ("", peer)
                    and drop.own_port in (0, own_port)
                    and drop.peer_port in (0, peer_port)
                    and not drop.leaving
                )
                if matches and self.environment.works:
                    dropped = round(count * min(1.0, drop.share * self.environment.does))
                    counts[0] += count
                    counts[1] += round(dropped * self.environment.miscounts)
                    count -= dropped
        return count


@dataclass(slots=True, kw_only=True)
class NetworkedEnvironment(EdgedEnvironment):
    """The services of a target in memory, each with a network; its defects are fields."""

    works: bool = True
    """Whether what is to be dropped is dropped; the rules are there either way."""
    does: float = 1.0
    """How much of each share is dropped."""
    lifts: bool = True
    lingers: bool = False
    """Whether rules go on acting when their name is gone."""
    readable: bool = True
    counts: bool = True
    miscounts: float = 1.0
    """How many dropped packets are counted for one."""
    resends_at_once: bool = False
    """Whether nobody waits for what was lost."""
    refuses: str = ""
    """The service whose packet filter takes no rule."""
    networks: dict[str, MemoryNetwork] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def network(self, service: str) -> MemoryNetwork:
        made = MemoryNetwork(environment=self, service=service)
        return self.networks.setdefault(service, made)

    def inner_proxied(self, edge: Edge) -> Endpoint:
        port = _FIRST_FRONT + self.target.edges.index(edge)
        return Endpoint(host=self.network(edge.service).address, port=port)

    def new_chain(self) -> str:
        return f"gameday-memory-{next(self.numbers)}"

    def send(self, datagrams: Datagrams) -> int:
        sender = datagrams.sender
        return self.network(datagrams.receiver).passes(
            peer="" if sender == CLIENT else self.network(sender).address,
            own_port=datagrams.to_port,
            peer_port=datagrams.from_port,
            count=datagrams.count,
        )

    def at(self, address: str) -> MemoryNetwork:
        """Return the network of an address."""
        return next(n for s in self.services if (n := self.network(s)).address == address)


class _MemoryLine:
    """A connection between two networks, whose packets are repeated once when they are lost."""

    def __init__(self, environment: NetworkedEnvironment, client: str, to: Endpoint) -> None:
        self._environment = environment
        self._client = environment.network(client)
        self._to = to
        self.opened = self._exchange()[0]
        self.origin: Endpoint | None = None
        self.opening = Heard(seen=self.opened)
        self.opening_sent = 0

    def ask(self, question: bytes, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        seen, took_ns = self._exchange()
        if seen is not Seen.ANSWERED:
            return Heard(seen=seen)
        return Heard(seen=seen, reads=(1,), first_ns=took_ns, last_ns=took_ns)

    def ended(self) -> bool:
        return False

    def listen(self, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        return Heard(seen=Seen.SILENT)

    def hang_up(self, limit_ns: int) -> Heard:
        return Heard(seen=Seen.CLOSED, ended_ns=_ANSWER_NS)

    def close(self) -> None:
        """There is nothing to close."""

    def _exchange(self) -> tuple[Seen, int]:
        """Send a hundred packets there and back: a loss is late, the loss of all is silence."""
        service = self._environment.at(self._to.host)
        there = service.passes(
            peer=self._client.address, own_port=self._to.port, peer_port=40000, count=100
        )
        back = self._client.passes(
            peer=self._to.host, own_port=40000, peer_port=self._to.port, count=100
        )
        if not min(there, back):
            return Seen.SILENT, 0
        in_time = there == back == 100 or self._environment.resends_at_once
        return Seen.ANSWERED, _ANSWER_NS if in_time else _RESENT_NS
