"""A control group of the run's own for a service that is a process of this host."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import psutil

from gameday.api.bounds import Resource
from gameday.cleanup.labels import cgroup_name
from gameday.errors import EnvironmentRefused
from gameday.host.cgroup import PERIOD_US, Cgroup, cgroup_of, fine_period_us
from gameday.host.usage import cpu_ns_of, memory_of

__all__ = [
    "RESOURCES",
    "CgroupBounds",
    "make_cgroup",
    "may_have_cgroups",
    "move_all",
    "remove_cgroup",
]

_ROUNDS = 20
"""How often it is looked for processes that were forked while the others were moved."""
_REMOVAL_LIMIT_S = 2.0
_PAUSE_S = 0.01
_LEAST_SHARE = 1024 * 1024
RESOURCES: tuple[Resource, ...] = ("cpu", "memory", "pids", "io")
"""What one group of version 2 may bound at once; in version 1 each has a group of its own."""

Tree = Callable[[], list[psutil.Process]]


class CgroupBounds:
    """A group that is made when it is needed; the service is moved in, and out at the end.

    Memory stays charged to the group that it was touched in. So that the whole service stays
    within the limit, what it held before it was moved is taken off the kernel's limit.
    """

    def __init__(self, tree: Tree, *, run: str, service: str, resource: Resource) -> None:
        self._tree = tree
        self._name = cgroup_name(run, service)
        self._resource = resource
        self._made: Cgroup | None = None
        self._charged_elsewhere = 0
        self._held: int | None = None
        self._setting = Lock()
        """A release may come from another thread while the limit is counted finely."""

    @property
    def mechanism(self) -> str:
        return self._now().mechanism

    def limit(self) -> int | None:
        limit = self._now().limit()
        return None if limit is None else limit + self._charged_elsewhere

    def usage(self) -> int:
        if self._resource == "cpu":
            return cpu_ns_of(self._tree())
        now = self._now()
        if now.path.name == self._name:
            return now.usage() + self._charged_elsewhere
        if self._resource == "memory":
            return memory_of(self._tree())
        return sum(_threads(process) for process in self._tree())

    def denials(self) -> int:
        return self._now().denials()

    def hold(self, limit: int) -> None:
        cgroup = self._now()
        if cgroup.path.name != self._name:
            if self._resource == "memory":
                self._charged_elsewhere = memory_of(self._tree())
            cgroup = Cgroup(
                path=_parent_for(cgroup) / self._name,
                version=cgroup.version,
                resource=cgroup.resource,
            )
        self._made = cgroup
        own = limit - self._charged_elsewhere
        if self._resource == "memory" and own < _LEAST_SHARE:
            self._made = None
            raise EnvironmentRefused(
                f"a limit of {limit} bytes is wanted, and {self._charged_elsewhere} are in use now"
            )
        try:
            cgroup.path.mkdir(exist_ok=True)
            cgroup.set_limit(own)
            self._held = own
            move_all(self._tree, cgroup)
        except OSError as error:
            raise EnvironmentRefused(f"{cgroup.path}: {error}") from error

    @contextmanager
    def finely(self) -> Iterator[None]:
        self._count_over(None)
        try:
            yield
        finally:
            self._count_over(PERIOD_US)

    def release(self) -> None:
        with self._setting:
            self._held = None
        cgroup = self._made
        if cgroup is None or not cgroup.path.is_dir():
            return
        with suppress(OSError):
            cgroup.set_limit(None)
        self._charged_elsewhere = 0
        remove_cgroup(cgroup)

    def left(self) -> str:
        """Return what is left of the group; one that another fault needs may stay, unlimited."""
        cgroup = self._made
        if cgroup is None or not cgroup.path.is_dir():
            return ""
        limit = cgroup.limit()
        return "" if limit is None else f"{cgroup.path} has the limit {limit}"

    def _count_over(self, period_us: int | None) -> None:
        """Write what is held anew, over the finest period if none is given."""
        with self._setting:
            if self._held is None or self._made is None:
                return
            try:
                self._made.set_limit(self._held, period_us or fine_period_us(self._held))
            except OSError as error:
                raise EnvironmentRefused(f"{self._made.path}: {error}") from error

    def _now(self) -> Cgroup:
        """Return the group where the service's main process is."""
        tree = self._tree()
        if not tree and self._made is not None and self._made.path.is_dir():
            return self._made  # what a dead service was counted in
        return cgroup_of(tree[0].pid if tree else os.getpid(), self._resource)


def may_have_cgroups(resource: Resource) -> bool:
    """Tell whether this process may make a group for that resource, by looking at the rights."""
    try:
        return os.access(_parent_for(cgroup_of(os.getpid(), resource)), os.W_OK)
    except EnvironmentRefused:
        return False


def move_all(tree: Tree, cgroup: Cgroup) -> None:
    """Move every process of a service into a group, and what is forked meanwhile too."""
    for _ in range(_ROUNDS):
        outside = [process.pid for process in tree() if process.pid not in cgroup.pids()]
        if not outside:
            return
        for pid in outside:
            cgroup.take(pid)
    raise EnvironmentRefused(f"processes are forked faster than they are moved to {cgroup.path}")


def make_cgroup(around: Cgroup, name: str) -> Cgroup:
    """Make a group of that name where one can bound the same resource. Raises OSError."""
    made = Cgroup(path=_parent_for(around) / name, version=around.version, resource=around.resource)
    made.path.mkdir(exist_ok=True)
    return made


def remove_cgroup(cgroup: Cgroup) -> None:
    """Remove a group of the run's own, unless it bounds something else, too.

    What is in it is moved to where this process is, which all services come from.
    """
    others = (
        Cgroup(path=cgroup.path, version=2, resource=resource).limit()
        for resource in RESOURCES
        if cgroup.version == 2 and resource != cgroup.resource
    )
    if any(limit is not None for limit in others):
        return
    home = cgroup_of(os.getpid(), cgroup.resource)
    give_up = time.monotonic() + _REMOVAL_LIMIT_S
    while cgroup.path.is_dir() and time.monotonic() < give_up:
        for pid in cgroup.pids():
            with suppress(OSError):
                home.take(pid)
        try:
            cgroup.path.rmdir()
        except OSError:
            # Those who have just ended are in it until the kernel has seen to them.
            time.sleep(_PAUSE_S)


def _parent_for(cgroup: Cgroup) -> Path:
    """Return the group under which one that bounds the same resource can be made."""
    if cgroup.version == 1:
        return cgroup.path
    for path in (cgroup.path, *cgroup.path.parents):
        with suppress(OSError):
            if cgroup.resource in (path / "cgroup.subtree_control").read_text().split():
                return path
    raise EnvironmentRefused(f"no group around {cgroup.path} hands {cgroup.resource} down")


def _threads(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return process.num_threads()
    return 0
