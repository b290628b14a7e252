"""What a service that is a process of this host is bounded with, and who runs beside it."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.environment.abilities.bounds import Bounds, Guest, Resource
from gameday.environment.abilities.throttling import DiskBounds
from gameday.environment.cells import Cell, cell_of
from gameday.environment.cgroups import RESOURCES, CgroupBounds, may_have_cells
from gameday.environment.disk_cells import CellDisk, device_of
from gameday.environment.duty_cycle import DutyBounds
from gameday.environment.guests import HostGuest, start_guest
from gameday.environment.io_watch import WatchedDisk
from gameday.environment.marks import RUN_MARK, cell_name
from gameday.environment.mechanisms import trial
from gameday.environment.mechanisms.process_limits import TASKS
from gameday.environment.memory_watch import WatchedMemory
from gameday.environment.task_limits import LimitedTasks, limit_tasks, task_limit_of
from gameday.errors import EnvironmentRefused

__all__ = ["ProcessBounds"]

_CHOSEN = 1000


class ProcessBounds:
    """The bounds of one service: groups of the run's own, or what stands in for each of these."""

    def __init__(
        self,
        service: str,
        tree: Callable[[], list[psutil.Process]],
        *,
        folder: Path,
        env: Mapping[str, str],
    ) -> None:
        self._service = service
        self._tree = tree
        self._folder = folder
        self._env = env
        self._guests: list[HostGuest] = []
        self._refused = 0
        """How many processes those have been refused who are no guests any more."""
        self._scores: dict[psutil.Process, int] = {}
        """Who was to die how soon before the service was chosen, the main process first."""

    def of(self, resource: Resource) -> Bounds:
        if may_have_cells(resource):
            run = self._env.get(RUN_MARK, "none")
            return CgroupBounds(self._everybody, run=run, service=self._service, resource=resource)
        if resource == "cpu":
            return DutyBounds(self._everybody)
        if resource == "memory":
            return WatchedMemory(self._everybody)
        if not (tried := trial(TASKS)).works:
            raise EnvironmentRefused(
                f"{self._service}: no control group for {resource} may be made on this host, and "
                f"{tried.seen}"
            )
        return LimitedTasks(self._everybody, self._refusals, self._service)

    def disk(self) -> DiskBounds:
        device, folder = device_of(self._folder, self._service), str(self._folder)
        if not may_have_cells("io"):
            return WatchedDisk(
                self._everybody, self._visitors, device=device, folder=folder, what=self._service
            )
        return CellDisk(
            lambda: self._cell("io"),
            self._everybody,
            name=cell_name(self._env.get(RUN_MARK, "none"), self._service),
            device=device,
            folder=folder,
        )

    def guest(self, script: str, limit_ns: int, share: float) -> Guest:
        """Start a script in those groups of the run's that the service is in, or in its limit."""
        tree = self._tree()
        name = cell_name(self._env.get(RUN_MARK, "none"), self._service)
        cells = []
        for resource in RESOURCES if tree else ():
            try:
                path = cell_of(tree[0].pid, resource).path
            except EnvironmentRefused:
                continue
            if path.name == name and path not in cells:
                cells.append(path)
        ended = [other for other in self._guests if not other.alive()]
        self._refused += sum(other.refusals() for other in ended)
        self._guests = [other for other in self._guests if other not in ended]

        def prepare(guest: psutil.Process) -> None:
            if tree and not may_have_cells("pids"):
                _limit_as(tree[0], guest)

        guest = start_guest(
            script,
            limit_ns,
            share,
            cells=cells,
            env=self._env,
            folder=self._folder,
            prepare=prepare,
        )
        self._guests.append(guest)
        return guest

    def first_to_die(self, yes: bool) -> None:
        tree = self._tree()
        if yes:
            self._scores = {**_scores_of(tree), **self._scores}
        elif not self._scores:
            return
        # Who was forked since then has the score of the service that it was forked by.
        of_main = next(iter(self._scores.values()), 0)
        for process in tree:
            score = _CHOSEN if yes else self._scores.get(process, of_main)
            with suppress(OSError):
                _score(process).write_text(str(score))
        if not yes:
            self._scores = {}

    def _cell(self, resource: Resource) -> Cell:
        tree = self._tree()
        return cell_of(tree[0].pid if tree else os.getpid(), resource)

    def _everybody(self) -> list[psutil.Process]:
        """Return the service's processes and the guests', which share its bounds."""
        return [*self._tree(), *(p for guest in self._guests for p in guest.family())]

    def _refusals(self) -> int:
        """Return how many processes the guests have been refused so far."""
        return self._refused + sum(guest.refusals() for guest in self._guests)

    def _visitors(self) -> list[psutil.Process]:
        """Return the first process of every guest, which takes no time to find."""
        return [guest.main for guest in self._guests if guest.main is not None]


def _limit_as(main: psutil.Process, guest: psutil.Process) -> None:
    """Give a guest the limit of tasks that a service has."""
    with suppress(EnvironmentRefused):  # one of another user, which is not bounded in that way
        if (limit := task_limit_of(main)) is not None:
            limit_tasks(lambda: [guest], limit)


def _scores_of(processes: Iterable[psutil.Process]) -> dict[psutil.Process, int]:
    scores = {}
    for process in processes:
        with suppress(OSError):
            scores[process] = int(_score(process).read_text())
    return scores


def _score(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/oom_score_adj")
