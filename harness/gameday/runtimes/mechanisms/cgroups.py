"""Control groups of the harness's own, each tried by having a process bounded in one."""

import os
import subprocess
import sys
from functools import partial
from secrets import token_hex

import psutil

from gameday.api.bounds import DUTY_CYCLE, Resource
from gameday.api.mechanism import Mechanism
from gameday.runtimes.process.cgroups import CgroupBounds

__all__ = ["CPU", "MEMORY", "PIDS", "cure"]

_TRIED: dict[Resource, int] = {"cpu": 100, "memory": 256 * 1024 * 1024, "pids": 1000}
_LIMIT_S = 20
_DELEGATED = "systemd-run --user --scope -p Delegate=yes pytest ..."
"""Version 2 only: a user's slice hands cpu, memory and pids down, and the user may write in it."""


def _check(resource: Resource) -> str:
    """Bound a process that only sleeps, read that from the kernel, and leave no group."""
    sleeper = subprocess.Popen(["sleep", str(_LIMIT_S)], start_new_session=True)
    try:
        tree = [psutil.Process(sleeper.pid)]
        bounds = CgroupBounds(
            lambda: tree, run=f"trial{token_hex(3)}", service="trial", resource=resource
        )
        try:
            bounds.hold(_TRIED[resource])
            seen = bounds.limit()
        finally:
            bounds.release()
        if seen is None or bounds.left():
            raise OSError(f"the limit is {seen}, and afterwards: {bounds.left() or 'nothing'}")
        return f"{bounds.mechanism}: a process was bounded"
    finally:
        sleeper.kill()
        sleeper.wait()


def cure() -> str:
    """Return how to get control groups here, or what to do without them."""
    if sys.platform != "linux":
        return "use --gameday-runtime=docker"
    if os.geteuid() == 0:
        other = "mount writable control groups at /sys/fs/cgroup"
    else:
        other = f"run as root or, with cgroup v2, by `{_DELEGATED}`"
    return f"use --gameday-runtime=docker, or {other}"


def _of(resource: Resource, used_for: str, instead: str = "") -> Mechanism:
    return Mechanism(
        name=f"{resource} control group in process",
        used_for=used_for,
        cure=cure(),
        check=partial(_check, resource),
        instead=instead,
    )


CPU = _of("cpu", "cpu-limit", f"{DUTY_CYCLE} of 100 ms")
MEMORY = _of("memory", "memory-limit, memory-burn until oom")
PIDS = _of("pids", "pids-limit")
