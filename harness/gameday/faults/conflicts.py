"""Which faults may be in at the same time, and which would undo or feign each other."""

from gameday.api.fault import Conflicts
from gameday.model.scenario import Edge, FaultSpec, FaultStep
from gameday.model.targeting import breaks, services_of

__all__ = ["conflict", "conflicts_of"]


def conflicts_of(fault: FaultSpec) -> Conflicts:
    """Return what a fault says that it does to others."""
    said: Conflicts = getattr(fault, "conflicts", Conflicts())
    return said


def conflict(one: FaultStep, other: FaultStep) -> str | None:
    """Return why two faults that are in at the same time cannot be; None: they can.

    Two that set the same thing take each other's setting for what was there before, and put it
    back. One that ends or freezes a process takes away what another has set in it, and whom the
    other needs to be set and undone.
    """
    if "edge" in (one.fault.hits, other.fault.hits) or (
        one.fault.hits == other.fault.hits == "services"
    ):
        why = _on_connections(one.fault, other.fault)
    else:
        why = _on_services(one.fault, other.fault)
    return why or _ended(one, other) or _ended(other, one)


def _on_connections(one: FaultSpec, other: FaultSpec) -> str | None:
    if _act_on_the_same(one, other) and conflicts_of(one).several and conflicts_of(other).several:
        return None
    if one.hits == other.hits == "services":
        return "both part services"
    for edge, beside in ((one, other), (other, one)):
        client, arrow, service = edge.target.partition(" -> ")
        if not arrow or beside.hits == "service":
            continue
        if breaks(beside.target, Edge(client=client, service=service)):
            return f"both act on the connection {edge.target}"
    return None


def _on_services(one: FaultSpec, other: FaultSpec) -> str | None:
    if one.target != other.target:
        return None
    if one.verb == other.verb:
        return None if conflicts_of(one).several else "each would undo the other"
    return f"both act on {conflicts_of(one).acts_on}" if _act_on_the_same(one, other) else None


def _act_on_the_same(one: FaultSpec, other: FaultSpec) -> bool:
    thing = conflicts_of(one).acts_on
    return bool(thing) and thing == conflicts_of(other).acts_on


def _ended(one: FaultStep, other: FaultStep) -> str | None:
    """Tell whether the first would take away, or freeze, what the second has set or needs."""
    ends, hit = one.fault, other.fault
    if not conflicts_of(ends).takes_process:
        return None
    said = conflicts_of(hit)
    within = hit.hits == "service" and not said.leaves_service_alone
    if not (within or said.holds_connections) or ends.target != services_of(hit.target)[-1]:
        return None
    if not said.outlives_process:
        return f"{ends.verb} takes away what {hit.verb} acts on"
    if other.at_ns < one.at_ns and one.at_ns + one.for_ns < other.at_ns + other.for_ns:
        return None
    return f"{hit.verb} has to begin before {ends.verb} and to end after it"
