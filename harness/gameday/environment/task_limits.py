"""A bound on processes and threads for hosts without control groups: one of the user's tasks."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import psutil

from gameday.environment.abilities.bounds import TASK_LIMIT
from gameday.errors import EnvironmentRefused

__all__ = ["LimitedTasks", "limit_tasks", "task_limit_of"]

_ROUNDS = 20
"""How often it is looked for processes that were forked while the others were limited."""

Processes = Callable[[], list[psutil.Process]]


class LimitedTasks:
    """The tasks of a service's user, bounded by the limit that its processes have of them.

    A process or thread is one task. The kernel compares that limit with all tasks of the user,
    whoever started them, and does so only when one that has the limit starts another.
    """

    mechanism = TASK_LIMIT

    def __init__(self, processes: Processes, refusals: Callable[[], int], what: str) -> None:
        """`refusals` tells how many tasks the guests have been refused, by their own word."""
        self._processes = processes
        self._refusals = refusals
        self._what = what
        self._held: int | None = None
        self._before: dict[psutil.Process, int] = {}
        """The limit that each had, the main process first."""
        for process in processes():
            with suppress(psutil.NoSuchProcess):
                if process.uids().real != os.getuid():
                    raise EnvironmentRefused(
                        f"{what}: process {process.pid} belongs to {process.username()}, whose "
                        "tasks are not those of who asks; run as that user"
                    )

    def limit(self) -> int | None:
        soft = next(map(task_limit_of, self._processes()), None)
        return None if soft == psutil.RLIM_INFINITY else soft

    def usage(self) -> int:
        """Return how many tasks the user has now, those of other programs, too."""
        return sum(map(_tasks, psutil.pids()))

    def denials(self) -> int:
        return self._refusals()

    def hold(self, limit: int) -> None:
        self._held = limit
        for process in self._processes():
            if (soft := task_limit_of(process)) is not None:
                self._before.setdefault(process, soft)
        limit_tasks(self._processes, limit)

    def finely(self) -> AbstractContextManager[None]:
        return nullcontext()  # tasks are not counted over a time

    def release(self) -> None:
        """Give back the limit to whoever still has it; to who was forked since, the first one's."""
        if not self._before:
            return
        of_main = next(iter(self._before.values()))
        for _ in range(_ROUNDS):
            limited = self._limited()
            for process in limited:
                _set(process, self._before.get(process, of_main))
            if not limited:
                return

    def left(self) -> str:
        limited = self._limited()
        return f"{len(limited)} processes have the limit {self._held}" if limited else ""

    def _limited(self) -> list[psutil.Process]:
        if self._held is None:
            return []
        return [p for p in self._processes() if task_limit_of(p) == self._held]


def limit_tasks(processes: Callable[[], Iterable[psutil.Process]], limit: int) -> None:
    """Let processes, and whoever they fork meanwhile, start a task only while there are fewer."""
    for _ in range(_ROUNDS):
        outside = [p for p in processes() if task_limit_of(p) not in (limit, None)]
        for process in outside:
            _set(process, limit)
        if not outside:
            return
    raise EnvironmentRefused("processes are forked faster than they are limited")


def task_limit_of(process: psutil.Process) -> int | None:
    """Return below how many tasks of its user a process may start one; None: it has ended."""
    try:
        return process.rlimit(psutil.RLIMIT_NPROC)[0]
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, OSError) as error:
        raise EnvironmentRefused(f"the limits of process {process.pid}: {error}") from error


def _set(process: psutil.Process, soft: int) -> None:
    try:
        hard = process.rlimit(psutil.RLIMIT_NPROC)[1]
        process.rlimit(psutil.RLIMIT_NPROC, (soft, hard))
    except psutil.NoSuchProcess:
        return
    except (psutil.Error, OSError, ValueError) as error:
        raise EnvironmentRefused(f"limiting process {process.pid}: {error}") from error


def _tasks(pid: int) -> int:
    """Return how many tasks a process has, if it is one of this user's."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    words = dict(line.split(":", 1) for line in lines)
    return int(words["Threads"]) if int(words["Uid"].split()[0]) == os.getuid() else 0
