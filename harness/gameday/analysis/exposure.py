"""How many operations of a run met a fault."""

import numpy as np

from gameday.model.history import History
from gameday.model.plan import PlannedFault
from gameday.model.result import Window

__all__ = ["exposed"]


def exposed(
    history: History, fault: PlannedFault, window: Window, counted: int | None = None
) -> int:
    """Return how many operations of the streams that meet a fault came due in `window`.

    `window` is absolute. Where the fault's mechanism counted what met it, it is no more than that.
    """
    due = 0
    for name in fault.met_by:
        due_ns = history.of(name)["due_ns"]
        due += int(np.count_nonzero((due_ns >= window.start_ns) & (due_ns < window.end_ns)))
    return due if counted is None else min(due, counted)
