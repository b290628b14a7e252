"""The limits of other processes, tried by lowering and raising those of processes of our own."""

import os
import pwd
import select
import subprocess
import sys
from contextlib import suppress

import psutil

from gameday.environment.abilities.bounds import TASK_LIMIT
from gameday.environment.descriptors import descriptors_of, limit_descriptors
from gameday.environment.mechanisms import Lacking, Mechanism
from gameday.environment.task_limits import LimitedTasks, task_limit_of

__all__ = ["DESCRIPTORS", "TASKS"]

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


def _refused() -> str:
    """Have a shell of our own start something when we have more tasks than it may see."""
    if sys.platform != "linux":
        raise Lacking("only Linux lets another process be limited", "use Linux")
    shell = subprocess.Popen(
        ["sh", "-c", "read go; true & wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        process = psutil.Process(shell.pid)
        before = task_limit_of(process)
        bounds = LimitedTasks(lambda: [process], int, "a trial")
        bounds.hold(1)
        held = bounds.limit()
        said = _answer_of(shell)
        bounds.release()
        # What has ended by itself has nothing left to give back.
        after = task_limit_of(process)
    finally:
        shell.kill()
        shell.communicate()
    if held != 1 or after not in (before, None):
        raise OSError(f"1 was set and {held} read, then {before} and {after}")
    if b"fork" not in said:
        who = "root is" if os.geteuid() == 0 else "this user is"
        raise Lacking(f"{who} not held to it by the kernel", "run as a user without privileges")
    return f"a process at the limit of its user was told: {said.decode(errors='replace').strip()}"


def _answer_of(shell: "subprocess.Popen[bytes]") -> bytes:
    """Let a shell go on, and return the first line of what it complains of; empty: of nothing."""
    assert shell.stdin is not None
    assert shell.stderr is not None
    shell.stdin.write(b"go\n")
    shell.stdin.flush()
    ready, _, _ = select.select([shell.stderr], [], [], _LIMIT_S)
    return shell.stderr.readline() if ready else b""


TASKS = Mechanism(
    name=TASK_LIMIT,
    used_for="pids-limit where no group may be made",
    cure="run as the user of the services, without privileges",
    check=_refused,
)
DESCRIPTORS = Mechanism(
    name="limits of running processes",
    used_for="file-descriptors",
    cure="run as root, or as the user of the services",
    check=_check,
)
