"""The kernel's control groups, versions 1 and 2, as files."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gameday.api.bounds import Resource
from gameday.errors import EnvironmentRefused
from gameday.host.ours import is_our_folder

__all__ = ["PERIOD_US", "Cgroup", "cgroup_of", "cgroups_named", "fine_period_us"]

PERIOD_US = 100_000
_LEAST_US = 1000
"""The kernel takes neither a period nor a quota that is shorter."""
_UNLIMITED = 2**62
"""What version 1 calls no limit of memory is the greatest number of whole pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """One control group, for one resource."""

    path: Path
    version: int
    resource: Resource

    @property
    def mechanism(self) -> str:
        return f"cgroup v{self.version}"

    def limit(self) -> int | None:
        """Return the limit; None where there is none, as in the root of all groups."""
        return _LIMITS[self.version, self.resource](self.path)

    def set_limit(self, limit: int | None, period_us: int = PERIOD_US) -> None:
        """Write the limit, of cpu over such a period, or that there is none. Raises OSError."""
        for name, value in _writes(self, limit, period_us):
            (self.path / name).write_text(value)

    def usage(self) -> int:
        """Return the bytes or the tasks that are in the group now."""
        name = {
            (1, "memory"): "memory.usage_in_bytes",
            (2, "memory"): "memory.current",
            (1, "pids"): "pids.current",
            (2, "pids"): "pids.current",
        }[self.version, self.resource]
        return int((self.path / name).read_text())

    def denials(self) -> int:
        """Return how often the limit was felt; 0 in the root, where nobody counts."""
        name, key = {
            (1, "cpu"): ("cpu.stat", "nr_throttled"),
            (2, "cpu"): ("cpu.stat", "nr_throttled"),
            (1, "memory"): ("memory.oom_control", "oom_kill"),
            (2, "memory"): ("memory.events", "oom_kill"),
            (1, "pids"): ("pids.events", "max"),
            (2, "pids"): ("pids.events", "max"),
        }[self.version, self.resource]
        with suppress(OSError):
            return _table(self.path / name).get(key, 0)
        return 0

    def pids(self) -> set[int]:
        """Return the processes that are in the group now; none if there is no such group."""
        with suppress(OSError):
            return {int(pid) for pid in (self.path / "cgroup.procs").read_text().split()}
        return set()

    def take(self, pid: int) -> None:
        """Move a process, with all its threads, into the group; one that has ended is left out."""
        with suppress(ProcessLookupError):
            (self.path / "cgroup.procs").write_text(str(pid))


def fine_period_us(limit: int) -> int:
    """Return the shortest period over which a limit of cpu can be counted."""
    return max(_LEAST_US, -(-_LEAST_US * 1000 // limit))


def cgroup_of(pid: int, resource: Resource) -> Cgroup:
    """Return the group that bounds a process of this host; EnvironmentRefused if none is seen."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise EnvironmentRefused(f"process {pid} has no control group here: {error}") from error
    mounts = list(_mounts())
    for version, wanted in ((1, _controller(resource)), (2, "")):
        for line in lines:
            _, controllers, inner = line.split(":", 2)
            if wanted not in controllers.split(","):
                continue
            for mount in mounts:
                cgroup = mount.cgroup(Path(inner), resource)
                if mount.version == version and cgroup is not None:
                    return cgroup
    raise EnvironmentRefused(f"no control group for {resource} is mounted here")


def cgroups_named(prefix: str) -> Iterator[Path]:
    """Yield every group of ours on this host whose name begins so, the innermost first."""
    seen: set[Path] = set()
    for mount in _mounts():
        with suppress(OSError):
            found = sorted(mount.point.rglob(f"{prefix}*"), reverse=True)
            yield from (path for path in found if path not in seen and is_our_folder(path))
            seen |= set(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    """Where a hierarchy of control groups is mounted, and which part is visible."""

    root: Path
    point: Path
    version: int
    controllers: frozenset[str]

    def cgroup(self, inner: Path, resource: Resource) -> Cgroup | None:
        """Return the group of that path if this hierarchy has it and bounds the resource."""
        if self.version == 1 and _controller(resource) not in self.controllers:
            return None
        if not inner.is_relative_to(self.root):
            return None
        path = self.point / inner.relative_to(self.root)
        if self.version == 2:
            # What a group does not have itself, the next one around it that has bounds for it.
            while resource not in _words(path / "cgroup.controllers"):
                if path == self.point:
                    return None
                path = path.parent
        cgroup = Cgroup(path=path, version=self.version, resource=resource)
        return cgroup if (path / "cgroup.procs").is_file() else None


def _mounts() -> Iterator[_Mount]:
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        here, _, there = line.partition(" - ")
        kind, _, options = there.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, point = here.split(" ")[3:5]
            yield _Mount(
                root=Path(root),
                point=Path(point),
                version=2 if kind == "cgroup2" else 1,
                controllers=frozenset(options.split(",")),
            )


def _controller(resource: Resource) -> str:
    """Return what version 1 calls a resource."""
    return "blkio" if resource == "io" else resource


def _words(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text().split()
    return []


def _table(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in file.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs}


def _cpu_1(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        quota = int((path / "cpu.cfs_quota_us").read_text())
        period = int((path / "cpu.cfs_period_us").read_text())
        return None if quota < 0 else round(1000 * quota / period)
    return None


def _cpu_2(path: Path) -> int | None:
    words = _words(path / "cpu.max")
    return None if not words or words[0] == "max" else round(1000 * int(words[0]) / int(words[1]))


def _memory_1(path: Path) -> int | None:
    limit = int((path / "memory.limit_in_bytes").read_text())
    return None if limit > _UNLIMITED else limit


def _plain(name: str) -> Callable[[Path], int | None]:
    def read(path: Path) -> int | None:
        words = _words(path / name)
        return None if words in ([], ["max"]) else int(words[0])

    return read


_LIMITS: Mapping[tuple[int, Resource], Callable[[Path], int | None]] = {
    (1, "cpu"): _cpu_1,
    (2, "cpu"): _cpu_2,
    (1, "memory"): _memory_1,
    (2, "memory"): _plain("memory.max"),
    (1, "pids"): _plain("pids.max"),
    (2, "pids"): _plain("pids.max"),
    (1, "io"): _plain("no such file"),
    (2, "io"): lambda path: len(_words(path / "io.max")) or None,
}


def _writes(cgroup: Cgroup, limit: int | None, period_us: int) -> list[tuple[str, str]]:
    """Return the files to write, in the order that the kernel takes them in."""
    none = "-1" if cgroup.version == 1 else "max"
    match cgroup.resource, cgroup.version:
        case "cpu", 1:
            quota = none if limit is None else str(limit * period_us // 1000)
            return [("cpu.cfs_period_us", str(period_us)), ("cpu.cfs_quota_us", quota)]
        case "cpu", _:
            quota = none if limit is None else str(limit * period_us // 1000)
            return [("cpu.max", f"{quota} {period_us}")]
        case "memory", 1:
            value = none if limit is None else str(limit)
            both = [("memory.limit_in_bytes", value)]
            if (cgroup.path / "memory.memsw.limit_in_bytes").exists():
                both.append(("memory.memsw.limit_in_bytes", value))
            # Memory with swap may never be allowed less than memory alone.
            return both if limit is not None else both[::-1]
        case "memory", _:
            both = [("memory.max", none if limit is None else str(limit))]
            if (cgroup.path / "memory.swap.max").exists():
                both.append(("memory.swap.max", none if limit is None else "0"))
            return both
        case _:
            return [("pids.max", "max" if limit is None else str(limit))]
