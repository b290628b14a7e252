"""Which share of what came due was served in time."""

import numpy as np

from gameday.analysis.operations import Operations
from gameday.model.finding import Finding
from gameday.model.operation import Outcome
from gameday.model.units import Unit

__all__ = ["availability"]


def availability(name: str, operations: Operations, *, served: str) -> Finding:
    """Return good operations over all that came due.

    An unknown one counts as lost at the low end and as served at the high end; the value is the
    low end, for an answer that nobody got served nobody. What could not be sent is lost.
    """
    due = len(operations)
    if not due:
        return Finding.unmeasured(name, Unit.RATIO, "no operation came due in the load window")
    good = int(np.count_nonzero(operations.good))
    unknown = int(np.count_nonzero(operations.outcome == Outcome.UNKNOWN))
    late = int(np.count_nonzero(operations.ok)) - good
    failed = due - good - unknown - late
    return Finding(
        name=name,
        value=good / due,
        low=good / due,
        high=(good + unknown) / due,
        unit=Unit.RATIO,
        samples=due,
        resolution=1 / due,
        evidence=(
            f"of {due} operations due under load, {good} were {served} in time; "
            f"{late} late, {failed} failed, {unknown} unknown"
        ),
    )
