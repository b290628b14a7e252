"""What a technology brings, such as a store: one object, found by the registry."""

from dataclasses import dataclass

from gameday.api.fault import Fault
from gameday.api.mechanism import Mechanism
from gameday.api.service_kind import ServiceKind
from gameday.api.workload import Workload

__all__ = ["Technology"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Technology:
    """Everything that gameday knows of one technology.

    It is offered by an entry point of the group `gameday.technologies`, or by the pytest hook
    `pytest_gameday_technologies`; those that come with gameday take the same way.
    """

    name: str
    kinds: tuple[ServiceKind, ...] = ()
    """The kinds of service that a target may then name, each with its probe."""
    workloads: tuple[type[Workload], ...] = ()
    """The verbs that a scenario may then use under `workload:`."""
    faults: tuple[type[Fault], ...] = ()
    """The faults that only this technology can bear."""
    mechanisms: tuple[Mechanism, ...] = ()
    """What `gameday doctor` tries of this host beyond a start of each kind."""
