"""The traffic with a block device, counted and throttled by control groups."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.api.throttling import Rates
from gameday.errors import EnvironmentRefused
from gameday.host.cgroup import Cgroup
from gameday.runtimes.process.cgroups import make_cgroup, move_all, remove_cgroup

__all__ = ["CgroupDisk", "device_of"]

_FILES = ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")


class CgroupDisk:
    """A group and a device: rates are set, and what has moved is counted.

    With a name a group of the run's own is made under the present one, and the service moved in;
    without one the rates go into the group where the service is, and the old ones back.
    """

    def __init__(
        self,
        now: Callable[[], Cgroup],
        tree: Callable[[], list[psutil.Process]],
        *,
        name: str | None,
        device: str,
        folder: str,
    ) -> None:
        self._now = now
        self._tree = tree
        self._name = name
        self.device = device
        self.folder = folder
        self._held: Cgroup | None = None
        self._old: Rates = (None, None)

    @property
    def mechanism(self) -> str:
        return self._now().mechanism

    def rates(self) -> Rates:
        return _rates(self._now(), self.device)

    def moved(self) -> tuple[int, int]:
        return _moved(self._now(), self.device)

    def hold(self, rates: Rates) -> None:
        cgroup = self._now()
        try:
            if self._name is not None and cgroup.path.name != self._name:
                cgroup = self._held = make_cgroup(cgroup, self._name)
                _set(cgroup, self.device, rates)
                move_all(self._tree, cgroup)
            else:
                self._old, self._held = _rates(cgroup, self.device), cgroup
                _set(cgroup, self.device, rates)
        except OSError as error:
            raise EnvironmentRefused(
                f"throttling {self.device} in {cgroup.path}: {error}"
            ) from error

    def release(self) -> None:
        cgroup = self._held
        if cgroup is None or not cgroup.path.is_dir():
            return
        try:
            _set(cgroup, self.device, self._old)
        except OSError as error:
            raise EnvironmentRefused(f"letting go {self.device}: {error}") from error
        if self._name is not None:
            remove_cgroup(cgroup)

    def left(self) -> str:
        cgroup = self._held
        if cgroup is None or not cgroup.path.is_dir():
            return ""
        now = _rates(cgroup, self.device)
        return "" if now == self._old else f"{cgroup.path} allows {now}, it was {self._old}"


def device_of(folder: Path, what: str) -> str:
    """Return the whole disk that holds a folder; EnvironmentRefused if there is none."""
    try:
        number = folder.stat().st_dev
    except OSError as error:
        raise EnvironmentRefused(f"{what}: its data cannot be seen from here: {error}") from error
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not block.exists():
        raise EnvironmentRefused(
            f"{what}: its data, in {folder}, are on no block device but in memory or on something "
            "layered, which cannot be throttled; leave `disk:` out, or set TMPDIR to a disk"
        )
    block = block.resolve()
    # A partition is throttled as the disk that it is a part of.
    if (block / "partition").exists():
        block = block.parent
    return (block / "dev").read_text().strip()


def _rates(cgroup: Cgroup, device: str) -> Rates:
    if cgroup.version == 1:
        read, write = (_first(cgroup.path / name, device) for name in _FILES)
        return (read or None, write or None)
    words = _words(cgroup.path / "io.max", device)
    return (_number(words.get("rbps")), _number(words.get("wbps")))


def _set(cgroup: Cgroup, device: str, rates: Rates) -> None:
    if cgroup.version == 1:
        for name, rate in zip(_FILES, rates, strict=True):
            (cgroup.path / name).write_text(f"{device} {rate or 0}")
        return
    read, write = ("max" if rate is None else rate for rate in rates)
    (cgroup.path / "io.max").write_text(f"{device} rbps={read} wbps={write}")


def _moved(cgroup: Cgroup, device: str) -> tuple[int, int]:
    if cgroup.version == 2:
        words = _words(cgroup.path / "io.stat", device)
        return (_number(words.get("rbytes")) or 0, _number(words.get("wbytes")) or 0)
    moved = {"Read": 0, "Write": 0}
    for line in (cgroup.path / "blkio.throttle.io_service_bytes").read_text().splitlines():
        words_of = line.split()
        if words_of[0] == device and words_of[1] in moved:
            moved[words_of[1]] = int(words_of[2])
    return (moved["Read"], moved["Write"])


def _first(file: Path, device: str) -> int:
    for line in file.read_text().splitlines() if file.exists() else ():
        if line.split()[0] == device:
            return int(line.split()[1])
    return 0


def _words(file: Path, device: str) -> dict[str, str]:
    with suppress(FileNotFoundError):
        for line in file.read_text().splitlines():
            name, *words = line.split()
            if name == device:
                return dict(word.split("=", 1) for word in words)
    return {}


def _number(word: str | None) -> int | None:
    return None if word in (None, "max") else int(word)
