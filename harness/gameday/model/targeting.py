"""What a fault targets: "a", "a -> b" or "a | b, c"."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gameday.model.scenario import CLIENT, Edge, FaultSpec, FaultStep, Target, WorkloadSpec

__all__ = [
    "Pairs",
    "Parting",
    "RequestPath",
    "breaks",
    "groups_of",
    "pairs_of",
    "services_of",
    "unreached",
]

Pairs = frozenset[tuple[str, str]]
"""Who sends, and who does not hear it."""


@runtime_checkable
class Parting(Protocol):
    """A fault that separates services: it says which pairs cannot reach each other."""

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
class RequestPath:
    """What an operation passes through, from the client to everything its answer depends on."""

    services: frozenset[str]
    edges: frozenset[Edge]

    @classmethod
    def through(
        cls, target: Target, asked: Collection[str], first: Edge | None = None
    ) -> "RequestPath":
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

    @classmethod
    def of_load(cls, target: Target, load: WorkloadSpec) -> "RequestPath":
        """Return the request path of a load, as the target declares it."""
        return cls.through(target, [load.to, load.ledger], Edge(client=CLIENT, service=load.to))

    def with_readers(self, target: Target) -> "RequestPath":
        """Return the path together with the programs that read what it writes.

        They are those that need a store on it: a worker behind a queue is on no path of needs.
        """
        programs = [spec for spec in target.services if spec.program is not None]
        stores = {spec.name for spec in target.services} - {spec.name for spec in programs}
        way, grown = self, frozenset[str]()
        while grown != way.services:
            grown = way.services
            reads = [spec.name for spec in programs if stores & grown & {*spec.needs}]
            more = RequestPath.through(target, [*grown, *reads])
            way = RequestPath(more.services, way.edges | more.edges)
        return way

    def meets(self, fault: FaultSpec) -> bool:
        """Tell whether what a fault hits is on the way."""
        pairs = pairs_of(fault)
        return fault.target in self.services or any(
            breaks(fault.target, edge, pairs) for edge in self.edges
        )

    def edges_to(self, fault: FaultSpec) -> frozenset[Edge]:
        """Return the connections on the way by which its traffic meets a fault."""
        pairs = pairs_of(fault)
        return frozenset(
            edge
            for edge in self.edges
            if fault.target == edge.client or breaks(fault.target, edge, pairs)
        )


def unreached(step: FaultStep, target: Target, load: WorkloadSpec) -> str | None:
    """Return why the load, which is to meet a fault, cannot; None: as declared, it can."""
    hit = step.fault.target
    names = {spec.name for spec in target.services}
    known = hit in map(str, target.edges) if "->" in hit else names.issuperset(services_of(hit))
    if step.met_by == "probes" or not known or not names.issuperset({load.to, load.ledger}):
        return None
    if RequestPath.of_load(target, load).with_readers(target).meets(step.fault):
        return None
    return (
        f"the load never passes {hit}: nothing it reaches from {load.to} or "
        f"{load.ledger} needs it, so the run would show nothing; hit something else, or write "
        "'met_by: probes' to count the harness's own probes"
    )
