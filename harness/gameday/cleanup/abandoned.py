"""Removes what earlier runs left whose harness and supervisor were both killed."""

import time
from collections.abc import Iterable, Iterator

from gameday.cleanup.reaper import abandoned_runs, leftovers_of, reap
from gameday.errors import EnvironmentRefused

__all__ = ["heal_abandoned", "still_there"]

_LIMIT_S = 10.0
_PAUSE_S = 0.2


def heal_abandoned(*, in_docker: bool) -> Iterator[str]:
    """Remove what is left of runs whose owners are dead, and yield a sentence on each.

    Raises EnvironmentRefused when something of one cannot be removed.
    """
    for run in abandoned_runs(in_docker=in_docker):
        removed = reap(run, in_docker=in_docker)
        yield f"run {run} was abandoned; removed {', '.join(removed) or 'nothing'}"
        # Its own janitor, or the start of another run, may be at it as well.
        give_up = time.monotonic() + _LIMIT_S
        while left := leftovers_of(run, in_docker=in_docker):
            if time.monotonic() >= give_up:
                raise EnvironmentRefused(still_there(run, left))
            time.sleep(_PAUSE_S)
            reap(run, in_docker=in_docker)


def still_there(run: str, left: Iterable[str]) -> str:
    """Return why nothing more is started beside what is left of a run."""
    return (
        f"run {run} left {', '.join(left)}, which cannot be removed; nothing more is started "
        f"beside it: try `gameday reap --run {run}`"
    )
