"""Which faults may be in at the same time, and which would undo or feign each other."""

from collections.abc import Mapping

from gameday.model.scenario import Edge, FaultSpec, FaultStep
from gameday.model.targeting import breaks, services_of

__all__ = ["conflict"]

_SETS: Mapping[str, str] = {
    **dict.fromkeys(("cpu-limit", "cpu-burn"), "its processor time"),
    **dict.fromkeys(("memory-limit", "memory-burn"), "its memory"),
    **dict.fromkeys(("disk-fill", "read-only-data"), "its disk"),
    **dict.fromkeys(("clock-offset", "clock-drift"), "its clock"),
    **dict.fromkeys(("promote", "stop-replay"), "its replay"),
    **dict.fromkeys(
        ("kill", "stop", "restart", "crash-loop", "pause", "remove", "kill-inside"), "its processes"
    ),
}
"""What a fault acts on; a verb that is not here acts on what no other verb does."""
_SEVERAL = frozenset(
    {
        "lock-table",
        "terminate-backends",
        "close-connections",
        "queue-purge",
        "consumer-cancel",
        "malformed-payload",
        "poison-message",
        "slow-consumer",
    }
)
"""Faults of which several can be in on one service: each has a part of it for its own."""
_OUTLIVES = frozenset(
    {
        "async-commit",
        "persistence-off",
        "disk-fill",
        "read-only-data",
        "clock-offset",
        "clock-drift",
        "malformed-payload",
        "poison-message",
    }
)
"""Faults that outlive the process of their service, but are put in and taken out while it lives."""
_ASIDE = frozenset({"surge"})
"""Faults that want nothing of the service that they hit."""
_HELD = frozenset({"connection-flood", "slow-consumer"})
"""Faults that are connections, which end with the service that they lead to."""


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
    if one.verb.startswith("http-") and other.verb.startswith("http-"):
        return None  # each is a rule of its own
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
        return None if one.verb in _SEVERAL else "each would undo the other"
    thing = _SETS.get(one.verb)
    return f"both act on {thing}" if thing and thing == _SETS.get(other.verb) else None


def _ended(one: FaultStep, other: FaultStep) -> str | None:
    """Tell whether the first would take away, or freeze, what the second has set or needs."""
    ends, hit = one.fault, other.fault
    if _SETS.get(ends.verb) != "its processes" and getattr(ends, "until", "") != "oom":
        return None
    within = hit.hits == "service" and hit.verb not in _ASIDE
    if not (within or hit.verb in _HELD) or ends.target != services_of(hit.target)[-1]:
        return None
    if hit.verb not in _OUTLIVES:
        return f"{ends.verb} takes away what {hit.verb} acts on"
    if other.at_ns < one.at_ns and one.at_ns + one.for_ns < other.at_ns + other.for_ns:
        return None
    return f"{hit.verb} has to begin before {ends.verb} and to end after it"
