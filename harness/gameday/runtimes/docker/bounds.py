"""What a service in a container is bounded with: set by the engine, read from the kernel."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import psutil
from docker.models.containers import Container

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.throttling import DiskBounds
from gameday.errors import EnvironmentRefused
from gameday.host.cgroup import PERIOD_US, Cgroup, cgroup_of, fine_period_us
from gameday.host.docker_engine import engine_client, refusing
from gameday.host.process_tree import of_container
from gameday.host.stressors import HostStressor, bounded
from gameday.host.usage import cpu_ns_of
from gameday.runtimes.block_io import CgroupDisk, device_of

__all__ = ["ContainerBounds"]

_ENGINE_LIMIT_S = 20
_START_LIMIT_S = 5.0
_PAUSE_S = 0.01
_MOST_MEMORY = 2**63 - 4096
"""No limit, in the kernel's words: the engine takes no word for it on a running container."""
_CHOOSE = """
for p in /proc/[0-9]*; do
  { read -r s < $p/oom_score_adj && echo 1000 > $p/oom_score_adj; } 2>/dev/null &&
  echo "${p#/proc/} $s"
done"""
"""Choose all that there are to die first, and say what each had before."""
_LET_GO = """
for p in /proc/[0-9]*; do
  s=$1
  for known in "$@"; do
    case $known in "${p#/proc/}="*) s=${known#*=};; esac
  done
  { read -r now < $p/oom_score_adj && [ $now = 1000 ] && echo $s > $p/oom_score_adj; } 2>/dev/null
done"""
"""Give back what is known as number=score, and the first word to who was forked since then."""


class ContainerBounds:
    """The bounds of one container whose processes this host can see."""

    def __init__(self, name: str, container: Callable[[], Container]) -> None:
        self._name = name
        self._container = container
        self._scores: dict[str, str] = {}
        """Who was to die how soon before the service was chosen, by numbers of the container."""
        self._chosen_start = ""

    def of(self, resource: Resource) -> Bounds:
        pid = _pid_of(self._container(), self._name)
        cgroup_of(pid, resource)
        return _EngineBounds(self._name, self._container, resource)

    def disk(self) -> DiskBounds:
        """Look for the volume of the data, or else for what the container itself writes to."""
        container = self._container()
        pid = _pid_of(container, self._name)
        folder, source = "/tmp", str(container.attrs["GraphDriver"]["Data"].get("UpperDir", ""))  # noqa: S108
        for mount in container.attrs["Mounts"]:
            if mount["Type"] == "volume":
                folder, source = str(mount["Destination"]), str(mount["Source"])
                break
        return CgroupDisk(
            lambda: cgroup_of(_pid_of(self._container(), self._name), "io"),
            lambda: of_container(str(container.id)),
            name=None,
            device=device_of(Path(source or f"/proc/{pid}/root"), self._name),
            folder=folder,
        )

    def stressor(self, script: str, limit_ns: int, share: float) -> Stressor:
        container = self._container()
        with refusing(f"running a guest in {self._name}"):
            engine = engine_client(_ENGINE_LIMIT_S)
            try:
                made = engine.api.exec_create(
                    str(container.id),
                    bounded(script, limit_ns),
                    stdout=False,
                    stderr=False,
                    user="0",
                )
                engine.api.exec_start(made["Id"], detach=True)
                give_up = time.monotonic() + _START_LIMIT_S
                while time.monotonic() < give_up:
                    seen = engine.api.exec_inspect(made["Id"])
                    if seen["Pid"] or seen["ExitCode"] is not None:
                        return _InnerStressor(container, int(seen["Pid"] or 0), share)
                    time.sleep(_PAUSE_S)
            finally:
                engine.close()
        raise EnvironmentRefused(f"a stressor of {self._name} does not start")

    def first_to_die(self, yes: bool) -> None:
        container = self._container()
        with refusing(f"looking at {self._name}"):
            container.reload()
        start = f"{container.id} {container.attrs['State']['StartedAt']}"
        if start != self._chosen_start:
            # A new start has what it always has, and its numbers are somebody else's.
            self._scores, self._chosen_start = {}, start
        if yes:
            told = self._said_inside(_CHOOSE)
            self._scores = {**dict(line.split() for line in told.splitlines()), **self._scores}
        elif self._scores:
            known = (f"{pid}={score}" for pid, score in self._scores.items())
            self._said_inside(_LET_GO, self._scores.get("1", "0"), *known)
            self._scores = {}

    def _said_inside(self, script: str, *words: str) -> str:
        command = ["sh", "-c", script, "sh", *words]
        with refusing(f"choosing who dies in {self._name}"):
            said = self._container().exec_run(command, user="0", stderr=False)
        assert isinstance(said.output, bytes)
        return said.output.decode("ascii", "replace")


class _EngineBounds:
    """One limit of a container, which the engine changes while it runs."""

    mechanism = "engine"

    def __init__(self, name: str, container: Callable[[], Container], resource: Resource) -> None:
        self._name = name
        self._container = container
        self._resource = resource
        self._old: Mapping[str, int] | None = None
        self._old_limit: int | None = None
        self._held: int | None = None
        self._setting = Lock()
        """A release may come from another thread while the limit is counted finely."""
        self._seen_in: Cgroup | None = None
        self._seen = 0
        self._said_before = True

    def limit(self) -> int | None:
        return self._cgroup().limit()

    def usage(self) -> int:
        if self._resource == "cpu":
            return cpu_ns_of(of_container(str(self._container().id)))
        return self._cgroup().usage()

    def denials(self) -> int:
        """Ask the kernel; of a container that has ended, what was last seen, and the engine.

        The engine hears of an end and of its reason by two ways, and of the reason not always.
        """
        if self._seen_in is None or not self._seen_in.path.is_dir():
            container = self._container()
            with refusing(f"looking at {self._name}"):
                container.reload()
            state = container.attrs["State"]
            if not state["Running"]:
                said = self._resource == "memory" and bool(state["OOMKilled"])
                # Said of an earlier end, it stays said.
                return max(self._seen, int(said and not self._said_before))
            self._seen_in = self._cgroup()
        self._seen = max(self._seen, self._seen_in.denials())
        return self._seen

    def hold(self, limit: int) -> None:
        container = self._container()
        if self._old is None:
            # What is read back may be 0, which the engine takes for "leave it as it is".
            self._old_limit = self._cgroup().limit()
            self._old = _as_engine(self._resource, self._old_limit)
        self._said_before = bool(container.attrs["State"]["OOMKilled"])
        self._held = limit
        self._update(container, _as_engine(self._resource, limit))

    @contextmanager
    def finely(self) -> Iterator[None]:
        self._count_over(None)
        try:
            yield
        finally:
            self._count_over(PERIOD_US)

    def _count_over(self, period_us: int | None) -> None:
        """Set what is held anew, over the finest period if none is given."""
        with self._setting:
            if self._held is not None:
                period_us = period_us or fine_period_us(self._held)
                told = _as_engine(self._resource, self._held, period_us)
                self._update(self._container(), told)

    def release(self) -> None:
        """Give the old limit to whatever container the service has now.

        A successor is made with the settings of the one before, the limit among them.
        """
        with self._setting:
            self._held = None
            if self._old is not None:
                self._update(self._container(), self._old)

    def left(self) -> str:
        if self._old is None:
            return ""
        now = self.limit()
        return "" if now == self._old_limit else f"the limit is {now}, it was {self._old_limit}"

    def _cgroup(self) -> Cgroup:
        return cgroup_of(_pid_of(self._container(), self._name), self._resource)

    def _update(self, container: Container, settings: Mapping[str, int]) -> None:
        """Change a running container; the client's own method knows no limit of processes."""
        with refusing(f"changing the {self._resource} limit of {self._name}"):
            engine = engine_client(_ENGINE_LIMIT_S)
            try:
                api = engine.api
                url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/update"
                answer = api.post(url, json=dict(settings), timeout=_ENGINE_LIMIT_S)
                if not answer.ok:
                    raise EnvironmentRefused(
                        f"changing the {self._resource} limit of {self._name}: {answer.text}"
                    )
            finally:
                engine.close()


class _InnerStressor(HostStressor):
    """One that the engine runs in the container, seen from this host."""

    def __init__(self, container: Container, pid: int, share: float) -> None:
        self._container = container
        self._inner = 0
        main: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess, OSError, ValueError):
            if str(container.id) in Path(f"/proc/{pid}/cgroup").read_text():
                main = psutil.Process(pid)
                self._inner = _inner_pid(pid)
        super().__init__(main, share)

    def end(self) -> None:
        """Kill it from here, or from inside where it is not this user's to kill."""
        try:
            super().end()
        except psutil.AccessDenied:
            kill = ["sh", "-c", f"kill -KILL -{self._inner} {self._inner}"]
            with refusing("ending a guest"):
                self._container.exec_run(kill, user="0")


def _pid_of(container: Container, name: str) -> int:
    """Return the main process as this host numbers it; EnvironmentRefused if it cannot be seen."""
    with refusing(f"looking at {name}"):
        container.reload()
    pid = int(container.attrs["State"]["Pid"])
    if pid == 0:
        raise EnvironmentRefused(f"{name} is not running, so that it has no limits")
    with suppress(OSError):
        if str(container.id) in Path(f"/proc/{pid}/cgroup").read_text():
            return pid
    raise EnvironmentRefused(
        f"{name}: its processes are not among those of this host, where the engine does not run"
    )


def _inner_pid(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return 0


def _as_engine(resource: Resource, limit: int | None, period_us: int = PERIOD_US) -> dict[str, int]:
    """Return a limit as the engine is told; it leaves alone what is 0, and refuses much of -1."""
    match resource:
        case "cpu":
            quota = -1 if limit is None else limit * period_us // 1000
            return {"CpuPeriod": period_us, "CpuQuota": quota}
        case "memory":
            value = _MOST_MEMORY if limit is None else limit
            return {"Memory": value, "MemorySwap": value}
        case _:
            return {"PidsLimit": -1 if limit is None else limit}
