"""The share of operations that were served in time."""

import numpy as np

from gameday.analysis.operations import Operations
from gameday.model.finding import Finding
from gameday.model.units import Unit

__all__ = ["availability"]


def availability(name: str, operations: Operations, *, served: str) -> Finding:
    """Return good operations over all that came due: exact, for it asks what clients got.

    An error is no service, and neither is silence until the deadline, whatever became of the
    data. What could not be sent was not served.
    """
    due = len(operations)
    if not due:
        return Finding.unmeasured(name, Unit.RATIO, "no operation came due in the load window")
    good = int(np.count_nonzero(operations.good))
    late = int(np.count_nonzero(operations.ok)) - good
    silent = int(np.count_nonzero(operations.unanswered))
    errors = due - good - late - silent
    return Finding(
        name=name,
        value=good / due,
        low=good / due,
        high=good / due,
        unit=Unit.RATIO,
        samples=due,
        resolution=1 / due,
        evidence=(
            f"of {due} operations due under load, {good} were {served} in time; "
            f"{late} late, {errors} got an error, {silent} got nothing by their deadline"
        ),
    )
