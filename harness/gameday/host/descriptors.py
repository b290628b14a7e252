"""The open files of a process on this host, and its limit."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.api.descriptors import Descriptors
from gameday.errors import EnvironmentRefused

__all__ = ["descriptors_of", "limit_descriptors", "listener_among"]

_LIMIT_S = 5
_LOOKS = 5
_LOOK_PAUSE_S = 0.05
_LISTENING = "0A"


def listener_among(processes: Iterable[psutil.Process], port: int, what: str) -> psutil.Process:
    """Return the process that listens on a port of its own network; EnvironmentRefused if none."""
    if sys.platform != "linux":
        raise EnvironmentRefused(f"{what}: open files can be limited from outside on Linux only")
    candidates = tuple(processes)
    for _ in range(_LOOKS):
        for process in candidates:
            with suppress(psutil.NoSuchProcess, FileNotFoundError):
                sockets = _listening(process.pid, port)
                if sockets & _sockets_of(process.pid, what):
                    return process
        # The kernel's lists are not read at one moment: what comes and goes can hide what stays.
        time.sleep(_LOOK_PAUSE_S)
    raise EnvironmentRefused(f"{what}: none of its processes listens on port {port}")


def descriptors_of(process: psutil.Process, what: str) -> Descriptors:
    """Return the open files of a process and their limit; EnvironmentRefused if it is not shown."""
    folder = Path(f"/proc/{process.pid}")
    try:
        limits = (folder / "limits").read_text().splitlines()
        numbers = frozenset(int(entry.name) for entry in (folder / "fd").iterdir())
        started = process.create_time()
    except (OSError, psutil.Error) as error:
        raise EnvironmentRefused(f"{what}: its open files cannot be seen: {error}") from error
    line = next(line for line in limits if line.startswith("Max open files"))
    return Descriptors(pid=process.pid, started=started, open=numbers, soft=int(line.split()[3]))


def limit_descriptors(of: Descriptors, soft: int) -> None:
    """Set the soft limit of a process; as its own user, where root alone is not enough."""
    try:
        process = psutil.Process(of.pid)
        if process.create_time() != of.started:
            return
        uid, gid = process.uids().real, process.gids().real
        hard = resource.prlimit(of.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(of.pid, resource.RLIMIT_NOFILE, (soft, hard))
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
    except PermissionError:
        # Without CAP_SYS_RESOURCE not even root may, but the owner of the process may.
        command = ["prlimit", f"--pid={of.pid}", f"--nofile={soft}:"]
        try:
            subprocess.run(
                command,
                user=uid,
                group=gid,
                extra_groups=(),
                cwd="/",
                check=True,
                capture_output=True,
                timeout=_LIMIT_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentRefused(f"limiting the open files of {of.pid}: {error}") from error


def _listening(pid: int, port: int) -> set[str]:
    """Return the sockets that listen on that port in the network of a process."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{words[9]}]")
    return found


def _sockets_of(pid: int, what: str) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.add(str(entry.readlink()))
    except PermissionError as error:
        raise EnvironmentRefused(f"{what}: its open files cannot be seen: {error}") from error
    return found
