"""What a service that is a process of this host is bounded with, and who runs beside it."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.throttling import DiskBounds
from gameday.cleanup.labels import RUN_VARIABLE, cgroup_name
from gameday.errors import EnvironmentRefused
from gameday.host.cgroup import Cgroup, cgroup_of
from gameday.host.duty_cycle import DutyBounds
from gameday.host.stressors import HostStressor, start_stressor
from gameday.runtimes.block_io import CgroupDisk, device_of
from gameday.runtimes.process.cgroups import RESOURCES, CgroupBounds, may_have_cgroups

__all__ = ["ProcessBounds"]

_CHOSEN = 1000


class ProcessBounds:
    """The bounds of one service: control groups of the run's own, or a duty cycle for cpu."""

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
        self._stressors: list[HostStressor] = []
        self._scores: dict[psutil.Process, int] = {}
        """Who was to die how soon before the service was chosen, the main process first."""

    def of(self, resource: Resource) -> Bounds:
        if may_have_cgroups(resource):
            run = self._env.get(RUN_VARIABLE, "none")
            return CgroupBounds(self._everybody, run=run, service=self._service, resource=resource)
        if resource == "cpu":
            return DutyBounds(self._everybody)
        raise self._no_group_for(resource)

    def disk(self) -> DiskBounds:
        device = device_of(self._folder, self._service)
        if not may_have_cgroups("io"):
            raise self._no_group_for("io")
        return CgroupDisk(
            lambda: self._cgroup("io"),
            self._everybody,
            name=cgroup_name(self._env.get(RUN_VARIABLE, "none"), self._service),
            device=device,
            folder=str(self._folder),
        )

    def stressor(self, script: str, limit_ns: int, share: float) -> Stressor:
        """Start a script in those groups of the run's that the service is in."""
        tree = self._tree()
        name = cgroup_name(self._env.get(RUN_VARIABLE, "none"), self._service)
        cgroups = []
        for resource in RESOURCES if tree else ():
            try:
                path = cgroup_of(tree[0].pid, resource).path
            except EnvironmentRefused:
                continue
            if path.name == name and path not in cgroups:
                cgroups.append(path)
        stressor = start_stressor(
            script, limit_ns, share, cgroups=cgroups, env=self._env, folder=self._folder
        )
        self._stressors = [*(other for other in self._stressors if other.alive()), stressor]
        return stressor

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

    def _cgroup(self, resource: Resource) -> Cgroup:
        tree = self._tree()
        return cgroup_of(tree[0].pid if tree else os.getpid(), resource)

    def _everybody(self) -> list[psutil.Process]:
        """Return the service's processes and the guests', which share its bounds."""
        return [*self._tree(), *(p for stressor in self._stressors for p in stressor.family())]

    def _no_group_for(self, resource: Resource) -> EnvironmentRefused:
        return EnvironmentRefused(
            f"{self._service}: no control group for {resource} can be made on this host"
        )


def _scores_of(processes: Iterable[psutil.Process]) -> dict[psutil.Process, int]:
    scores = {}
    for process in processes:
        with suppress(OSError):
            scores[process] = int(_score(process).read_text())
    return scores


def _score(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/oom_score_adj")
