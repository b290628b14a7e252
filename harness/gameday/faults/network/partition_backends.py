"""What keeps services apart, by packets or by proxies, and what shows that it does."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from gameday.api.edge import EdgeConnection, Route, Stream
from gameday.api.environment import Environment
from gameday.api.fault import Proof
from gameday.api.packets import Datagrams, Drop, Networked
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.edge_settings import Toxics
from gameday.model.event import Scalar
from gameday.model.scenario import CLIENT, Edge

__all__ = ["DroppedPackets", "Pair", "PartitionBackend", "SilentEdges"]

Pair = tuple[str, str]
"""Who sends, and who should receive it."""

_DATAGRAMS = 20


class PartitionBackend(Protocol):
    """Something that lets nothing pass between certain services."""

    @property
    def undo_text(self) -> str: ...

    def put(self) -> None: ...

    def lift(self) -> None:
        """Take it off, however much of it is on; twice is harmless."""
        ...

    def left(self) -> tuple[str, ...]:
        """Read what of it is still on."""
        ...

    def is_active(self) -> Proof:
        """Read whether all of it is still on."""
        ...

    def open(self, edge: Edge, limit_ns: int) -> EdgeConnection:
        """Connect on an edge, from where its client is if that can be had."""
        ...

    def reach(self) -> Mapping[Pair, bool | None]:
        """Send from each service to each; None: some arrived, and some did not."""
        ...

    def counted(self) -> tuple[bool, Mapping[str, Scalar]]:
        """Tell whether all that is cut was met by something, and how much."""
        ...


class DroppedPackets:
    """Packets of one service that another drops as they arrive, in the kernel of both."""

    def __init__(
        self, environment: Networked, pairs: Collection[Pair], members: Iterable[str]
    ) -> None:
        self._environment = environment
        self._pairs = sorted(pairs)
        self._services = sorted(name for name in members if name != CLIENT)
        self._networks = {name: environment.network(name) for name in self._services}
        # Chosen before the first call: one that was never answered may have done its work.
        self._chain = environment.new_chain()
        self.undo_text = f"remove the chains {self._chain}-* of {', '.join(self._services)}"

    def put(self) -> None:
        for service, network in self._networks.items():
            drops = [self._drop(pair) for pair in self._pairs if _place(pair) == service]
            if drops:
                network.drop(self._chain, drops)

    def lift(self) -> None:
        problems: list[EnvironmentRefused] = []
        for network in self._networks.values():
            try:
                network.lift(self._chain)
            except EnvironmentRefused as error:
                problems.append(error)
        if problems:
            raise EnvironmentRefused("; ".join(str(problem) for problem in problems))

    def left(self) -> tuple[str, ...]:
        lines = {name: network.left(self._chain) for name, network in self._networks.items()}
        return tuple(f"{count} rules of {name}" for name, count in lines.items() if count)

    def is_active(self) -> Proof:
        lost = 0
        for service, network in self._networks.items():
            wanted = sum(_place(pair) == service for pair in self._pairs)
            # A service that was started anew may have another network, without a rule.
            lost += wanted - len(network.tallies(self._chain)) if wanted else 0
        return Proof(proven=not lost, measured={"pairs_open": lost})

    def open(self, edge: Edge, limit_ns: int) -> EdgeConnection:
        proxy = self._environment.edge(edge)
        if edge.client == CLIENT:
            return proxy.open(Route.PROXIED, limit_ns)
        inner = self._environment.inner_proxied(edge)
        return self._networks[edge.client].open(inner, limit_ns, proxy.dialect)

    def reach(self) -> Mapping[Pair, bool | None]:
        return {
            (a, b): self._arrives(a, b) for a in self._services for b in self._services if a != b
        }

    def counted(self) -> tuple[bool, Mapping[str, Scalar]]:
        dropped: dict[Pair, int] = {}
        for service, network in self._networks.items():
            here = [pair for pair in self._pairs if _place(pair) == service]
            for pair, tally in zip(here, network.tallies(self._chain), strict=False):
                dropped[pair] = tally.dropped
        # What never gets a question from the harness has no answer for it.
        met = [dropped.get((a, b)) for a, b in self._pairs if b != CLIENT or (b, a) not in dropped]
        return all(met), {"packets_dropped": sum(dropped.values())}

    def _drop(self, pair: Pair) -> Drop:
        """Drop where it arrives; what is for the harness, which is outside, where it leaves."""
        sender, receiver = pair
        if CLIENT not in pair:
            return Drop(peer=self._networks[sender].address)
        edge = Edge(client=CLIENT, service=_place(pair))
        port = self._environment.inner_proxied(edge).port
        return Drop(own_port=port, leaving=receiver == CLIENT)

    def _arrives(self, sender: str, receiver: str) -> bool | None:
        asked = Datagrams(sender=sender, receiver=receiver, count=_DATAGRAMS)
        arrived = self._environment.send(asked)
        return None if 0 < arrived < _DATAGRAMS else arrived > 0


class SilentEdges:
    """Edges whose proxies swallow what comes from the one side, from the other or from both."""

    def __init__(self, environment: Environment, pairs: Collection[Pair]) -> None:
        self._environment = environment
        self._toxics: dict[Edge, Toxics] = {}
        for edge in environment.edges:
            ways: dict[Stream, Pair] = {
                "upstream": (edge.client, edge.service),
                "downstream": (edge.service, edge.client),
            }
            cut = [stream for stream, pair in ways.items() if pair in pairs]
            if cut:
                proxy = environment.edge(edge)
                self._toxics[edge] = Toxics(proxy, "timeout", cut, {"timeout": 0})
        self.undo_text = "; ".join(
            f"{edge}: {toxics.undo_text}" for edge, toxics in self._toxics.items()
        )

    def put(self) -> None:
        for toxics in self._toxics.values():
            toxics.put()

    def lift(self) -> None:
        problems: list[EnvironmentRefused] = []
        for toxics in self._toxics.values():
            try:
                toxics.lift()
            except EnvironmentRefused as error:
                problems.append(error)
        if problems:
            raise EnvironmentRefused("; ".join(str(problem) for problem in problems))

    def left(self) -> tuple[str, ...]:
        return tuple(
            f"{name} of {edge}"
            for edge, toxics in self._toxics.items()
            for name in toxics.left(self._environment.edge(edge).state())
        )

    def is_active(self) -> Proof:
        lost = [
            str(edge)
            for edge, toxics in self._toxics.items()
            if not toxics.is_active(self._environment.edge(edge).state()).proven
        ]
        return Proof(proven=not lost, measured={"edges_open": ", ".join(lost) or "none"})

    def open(self, edge: Edge, limit_ns: int) -> EdgeConnection:
        return self._environment.edge(edge).open(Route.PROXIED, limit_ns)

    def reach(self) -> Mapping[Pair, bool | None]:
        """Without networks of their own, only edges connect services."""
        return {}

    def counted(self) -> tuple[bool, Mapping[str, Scalar]]:
        """Compare what each direction has swallowed with what was cut.

        Of a request whose answer alone is swallowed, the answer is counted: it was served.
        """
        swallowed: list[int] = []
        for edge, toxics in self._toxics.items():
            proxy = self._environment.edge(edge)
            for stream, name in toxics.names.items():
                # Where the question is swallowed, there is no answer to swallow.
                if stream == "downstream" and "upstream" in toxics.names:
                    continue
                count = proxy.dropped_bytes(name)
                if count is not None:
                    swallowed.append(count)
        return all(swallowed), {"bytes_dropped": sum(swallowed)} if swallowed else {}


def _place(pair: Pair) -> str:
    """Return the service at which what is between two is dropped."""
    sender, receiver = pair
    return sender if receiver == CLIENT else receiver
