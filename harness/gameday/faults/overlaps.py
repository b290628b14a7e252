"""Which faults may be in at the same time, and which would undo or feign each other."""

from collections.abc import Mapping

from gameday.model.aim import breaks, services_of
from gameday.model.scenario import Edge, FaultSpec

__all__ = ["at_odds"]

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
        "surge",
        "malformed-payload",
        "poison-message",
    }
)
"""Faults that outlive the process of their service, or are there to be met by its death."""
_HELD = frozenset({"connection-flood", "slow-consumer"})
"""Faults that are connections, which end with the service that they lead to."""


def at_odds(one: FaultSpec, other: FaultSpec) -> str | None:
    """Return why two faults cannot be in at the same time; None: they can.

    Two that set the same thing take each other's setting for what was there before, and put it
    back. One that ends or freezes a process takes away what another has set in it.
    """
    if "edge" in (one.hits, other.hits) or one.hits == other.hits == "services":
        why = _on_connections(one, other)
    else:
        why = _on_services(one, other)
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


def _ended(one: FaultSpec, other: FaultSpec) -> str | None:
    """Tell whether the first would take away what the second has set, or leave it frozen."""
    if _SETS.get(one.verb) != "its processes" and getattr(one, "until", "") != "oom":
        return None
    within = other.hits == "service" and other.verb not in _OUTLIVES
    if (within or other.verb in _HELD) and one.target == services_of(other.target)[-1]:
        return f"{one.verb} takes away what {other.verb} acts on"
    return None
