"""What slows down traffic with disks, tried by slowing down a write of this host."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import psutil

from gameday.api.mechanism import Mechanism, need
from gameday.cleanup.labels import cgroup_name
from gameday.errors import EnvironmentRefused
from gameday.host.cgroup import cgroup_of
from gameday.host.stressors import start_stressor
from gameday.model.clock import SECOND
from gameday.runtimes.block_io import CgroupDisk, device_of

__all__ = ["THROTTLE_IN_DOCKER", "THROTTLE_IN_PROCESS"]

_CONTAINERS = ("/var/lib/docker", "/")
_RATE = 1_000_000
_SIZE = 16 * 65536
_LIMIT_S = 10


@contextmanager
def _sleeping() -> Iterator[psutil.Process]:
    sleeper = subprocess.Popen(["sleep", str(_LIMIT_S)], start_new_session=True)
    try:
        yield psutil.Process(sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


def _in_a_group(*places: str) -> str:
    """Write a MiB at a MB/s past the page cache, from a group that is gone afterwards."""
    need("sh", "timeout", "dd")
    place, device = _place(places)
    with _sleeping() as sleeper:
        disk = CgroupDisk(
            lambda: cgroup_of(sleeper.pid, "io"),
            lambda: [sleeper],
            name=cgroup_name(f"trial{token_hex(3)}", "trial"),
            device=device,
            folder=str(place),
        )
        return _slowed(disk, lambda: cgroup_of(sleeper.pid, "io").path)


def _slowed(disk: CgroupDisk, cgroup: Callable[[], Path]) -> str:
    """Have a guest write in the group that the disk is throttled in; say how long that took."""
    try:
        disk.hold((None, _RATE))
        before = disk.moved()[1]
        with tempfile.NamedTemporaryFile(dir=disk.folder) as file:
            began_ns = time.monotonic_ns()
            stressor = start_stressor(
                f"dd if=/dev/zero of='{file.name}' bs=64k count={_SIZE // 65536} "
                f"oflag=direct conv=notrunc; sleep {_LIMIT_S}",
                _LIMIT_S * SECOND,
                1.0,
                cgroups=[cgroup()],
                env=os.environ,
                folder=Path(disk.folder),
            )
            try:
                while stressor.alive() and disk.moved()[1] - before < _SIZE:
                    time.sleep(0.01)
            finally:
                stressor.end()
            took_ns = time.monotonic_ns() - began_ns
        moved, mechanism = disk.moved()[1] - before, disk.mechanism
    finally:
        disk.release()
    if moved < _SIZE or took_ns < SECOND * _SIZE // _RATE // 2:
        raise OSError(f"{moved} bytes at {_RATE} bytes/s took {took_ns / SECOND:.2f} s")
    return f"{mechanism}: {moved} bytes at {_RATE} bytes/s took {took_ns / SECOND:.2f} s"


def _place(places: Sequence[str]) -> tuple[Path, str]:
    for place in map(Path, places):
        try:
            return place, device_of(place, "a trial")
        except EnvironmentRefused:
            continue
    raise OSError(f"{' and '.join(places)}: on no block device, but in memory or layered")


THROTTLE_IN_PROCESS = Mechanism(
    name="disk throttle in process",
    used_for="io-throttle",
    cure="run as root on Linux with control groups, and with TMPDIR on a disk",
    check=lambda: _in_a_group(tempfile.gettempdir()),
)
THROTTLE_IN_DOCKER = Mechanism(
    name="disk throttle in docker",
    used_for="io-throttle",
    cure="run as root on Linux, on the host of the engine, with its containers on a disk",
    check=lambda: _in_a_group(*_CONTAINERS),
)
