"""A finding that can be named in `expect:` and in SLA files: one row and one function."""

from collections.abc import Callable
from dataclasses import dataclass

from gameday.model.finding import Finding
from gameday.model.history import Observation
from gameday.model.units import Unit

__all__ = ["FindingKind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingKind:
    """A finding that an extension adds to those of every run.

    It is offered by an entry point of the group `gameday.findings`, or by the pytest hook
    `pytest_gameday_findings`. Expectations, SLA files, result.json and all reports then have it
    under its name.
    """

    name: str
    unit: Unit
    find: Callable[[Observation], Finding]
    """A pure function of what was observed; it may give `Finding.unmeasured`, saying why.

    What raises is not measured either, so that an expectation of it is INCONCLUSIVE.
    """
    between: tuple[str, str] | None = None
    """For a time: the marks that it lies between, such as ("t3", "t6").

    What the host stalled in that span is then left open of it. None: no stall can change it.
    """
