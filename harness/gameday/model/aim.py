"""What a fault is aimed at, as its target is written: "a", "a -> b" or "a | b, c"."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gameday.model.scenario import CLIENT, Edge, FaultSpec, Target

__all__ = ["Pairs", "Parting", "Way", "breaks", "groups_of", "pairs_of", "services_of"]

Pairs = frozenset[tuple[str, str]]
"""Who sends, and who does not hear it."""


@runtime_checkable
class Parting(Protocol):
    """A fault that tells itself which of the services that it names hear nothing of each other."""

    def pairs(self) -> Pairs | None:
        """Return them; None: its target alone tells."""
        ...


def pairs_of(fault: FaultSpec) -> Pairs | None:
    """Return who is parted where the fault itself decides it."""
    return fault.pairs() if isinstance(fault, Parting) else None


def groups_of(target: str) -> tuple[tuple[str, ...], ...]:
    """Return the names of several services: "|" parts groups, "," the names of one."""
    return tuple(tuple(name.strip() for name in group.split(",")) for group in target.split("|"))


def services_of(target: str) -> tuple[str, ...]:
    """Return the services that are hit; of a connection, the one that answers."""
    if "->" in target:
        return (target.rpartition(" -> ")[2],)
    return tuple(name for group in groups_of(target) for name in group if name != CLIENT)


def breaks(target: str, edge: Edge, pairs: Pairs | None = None) -> bool:
    """Tell whether a fault with that target could break the connections of an edge.

    `pairs` are those of `pairs_of`. Without them names that no bar parts count as all apart.
    """
    if pairs is not None:
        # One way is enough to silence a connection.
        return not pairs.isdisjoint({(edge.client, edge.service), (edge.service, edge.client)})
    if "->" in target:
        return target == str(edge)
    groups = groups_of(target)
    of = {name: number for number, group in enumerate(groups) for name in group}
    if len(of) == 1:
        return edge.service in of
    if edge.client not in of or edge.service not in of:
        return False
    return len(groups) == 1 or of[edge.client] != of[edge.service]


@dataclass(frozen=True, slots=True)
class Way:
    """What an operation comes through, from the client to everything that its answer rests on."""

    services: frozenset[str]
    edges: frozenset[Edge]

    @classmethod
    def through(cls, target: Target, asked: Collection[str], first: Edge | None = None) -> "Way":
        """Return the way of an operation that takes the edge `first`, or goes past every proxy.

        It rests on the services `asked`, and on what these need.
        """
        needs = {spec.name: spec.needs for spec in target.services}
        services: set[str] = set()
        ahead = [*asked]
        while ahead:
            name = ahead.pop()
            if name not in services:
                services.add(name)
                ahead += needs[name]
        inner = {Edge(client=name, service=need) for name in services for need in needs[name]}
        return cls(frozenset(services), frozenset(inner if first is None else inner | {first}))

    def meets(self, fault: FaultSpec) -> bool:
        """Tell whether what a fault hits is on the way."""
        pairs = pairs_of(fault)
        return fault.target in self.services or any(
            breaks(fault.target, edge, pairs) for edge in self.edges
        )
