"""The limits of other processes, tried by lowering and raising those of processes of our own."""

import os
import pwd
import subprocess
import sys
from contextlib import suppress

import psutil

from gameday.api.mechanism import Lacking, Mechanism
from gameday.host.descriptors import descriptors_of, limit_descriptors

__all__ = ["DESCRIPTORS"]

_LIMIT_S = 20
_TRIED = 64


def _check() -> str:
    """Limit a process of another user where we are root, else one of our own."""
    if sys.platform != "linux":
        raise Lacking("only Linux lets another process be limited", "use Linux")
    user = None
    with suppress(KeyError):
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    sleeper = subprocess.Popen(["sleep", str(_LIMIT_S)], user=user, group=user, cwd="/")
    try:
        process = psutil.Process(sleeper.pid)
        before = descriptors_of(process, "a sleeping process")
        limit_descriptors(before, _TRIED)
        lowered = descriptors_of(process, "a sleeping process").soft
        limit_descriptors(before, before.soft)
        raised = descriptors_of(process, "a sleeping process").soft
    finally:
        sleeper.kill()
        sleeper.wait()
    if lowered != _TRIED or raised != before.soft:
        raise OSError(f"{_TRIED} was set and {lowered} read, then {before.soft} and {raised}")
    return f"open files of a process were limited to {_TRIED} and let go again"


DESCRIPTORS = Mechanism(
    name="limits of running processes",
    used_for="file-descriptors",
    cure="run as root, or as the user of the services",
    check=_check,
)
