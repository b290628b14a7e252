"""A bound on memory for hosts without control groups: as by the kernel, who is over is killed."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import psutil

from gameday.environment.abilities.bounds import MEMORY_WATCH
from gameday.environment.using import lives, memory_of
from gameday.environment.watch import Watch

__all__ = ["WatchedMemory"]

_LOOK_S = 0.05
_DEATH_LIMIT_S = 1.0
_PAUSE_S = 0.002

Processes = Callable[[], list[psutil.Process]]


class WatchedMemory:
    """Memory of a service, bounded by killing whom the kernel would choose, ten minutes at most.

    Looked at twenty times a second: what is let go again sooner than that may be missed.
    """

    mechanism = MEMORY_WATCH

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._limit = 0
        self._kills = 0
        self._watch: Watch | None = None

    def limit(self) -> int | None:
        return self._limit if self._watching else None

    def usage(self) -> int:
        return memory_of(self._processes())

    def denials(self) -> int:
        return self._kills

    def hold(self, limit: int) -> None:
        self.release()
        self._limit = limit
        self._watch = Watch(lambda watch: self._look_after(watch, limit))

    def finely(self) -> AbstractContextManager[None]:
        return nullcontext()

    def release(self) -> None:
        if self._watch is not None:
            self._watch.end()

    def left(self) -> str:
        return "a thread kills who is over the limit" if self._watching else ""

    @property
    def _watching(self) -> bool:
        return self._watch is not None and self._watch.goes_on

    def _look_after(self, watch: Watch, limit: int) -> None:
        while watch.rests(_LOOK_S):
            found = self._processes()
            # What they share is told apart only if they are over with it: that takes longer.
            if sum(map(_resident, found)) > limit and memory_of(found) > limit:
                self._kill(max(found, key=_badness))

    def _kill(self, chosen: psutil.Process) -> None:
        """Kill it, and let nobody else pay before its memory is back."""
        with suppress(psutil.NoSuchProcess):
            chosen.kill()
        give_up = time.monotonic() + _DEATH_LIMIT_S
        while lives(chosen) and time.monotonic() < give_up:
            time.sleep(_PAUSE_S)
        # Only what has died of it was denied anything.
        self._kills += not lives(chosen)


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _badness(process: psutil.Process) -> tuple[int, int]:
    """Return what the kernel goes by: its score, which `oom_score_adj` is part of."""
    with suppress(OSError, ValueError):
        return int(Path(f"/proc/{process.pid}/oom_score").read_text()), _resident(process)
    return 0, _resident(process)
