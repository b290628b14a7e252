"""Commands that run beside a service: found again and ended by their processes on this host."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from gameday.environment.duty_cycle import DutyCycle
from gameday.environment.using import cpu_ns_of, end_family, living_with, memory_of, waited_ns_of
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND

__all__ = ["HostGuest", "bounded", "start_guest"]

_END_LIMIT_S = 3.0
_MOST_SAID = 65536


def bounded(script: str, limit_ns: int) -> list[str]:
    """Return the command that runs a shell script and kills it after `limit_ns`.

    One signal ends all that it started, because `timeout` has a process group of its own.
    """
    return ["timeout", "-s", "KILL", f"{limit_ns / SECOND:.3f}", "sh", "-c", script]


def start_guest(
    script: str,
    limit_ns: int,
    share: float,
    *,
    cells: Sequence[Path],
    env: Mapping[str, str],
    folder: Path,
    prepare: Callable[[psutil.Process], None] = lambda _: None,
) -> "HostGuest":
    """Start a script as a child of this process that has joined the given groups before it runs.

    What `prepare` does to its process is done before, too.
    """
    command = " ".join(bounded('"$script"', limit_ns))
    join = f"""script=$1; shift
        for cell in "$@"; do echo $$ > "$cell/cgroup.procs" || exit 1; done
        read go
        exec {command} < /dev/null"""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - the guest's until its end
    try:
        process = subprocess.Popen(
            ["sh", "-c", join, "sh", script, *map(str, cells)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd=folder,
            env={**env, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        said.close()
        raise EnvironmentRefused(f"a guest could not be started: {error}") from error
    guest = HostGuest(process, share, said)
    assert process.stdin is not None
    with process.stdin:  # it waits until that is closed
        if guest.main is not None:
            prepare(guest.main)
    return guest


class HostGuest:
    """A guest that is a child of this process."""

    def __init__(self, process: "subprocess.Popen[bytes]", share: float, said: BinaryIO) -> None:
        """`said` is the file that its errors are written to."""
        self._process = process
        self._said = said
        self._refused = 0
        self._cycle = None if share == 1 else DutyCycle(self.family, share)
        self._main: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            self._main = psutil.Process(process.pid)
        if self._cycle is not None:
            self._cycle.start()

    @property
    def main(self) -> psutil.Process | None:
        """Its first process; None if that had ended before it was seen."""
        return self._main

    def family(self) -> list[psutil.Process]:
        """Return its living processes; they are a session of their own."""
        self._process.poll()
        return [] if self._main is None else living_with(self._main)

    def alive(self) -> bool:
        return bool(self.family())

    def cpu_ns(self) -> int:
        return cpu_ns_of(self.family())

    def waited_ns(self) -> int:
        return waited_ns_of(self.family())

    def memory_bytes(self) -> int:
        return memory_of(self.family())

    def refusals(self) -> int:
        """Return how often it was refused a process, by the words of its shell, up to its end.

        Every shell, and `timeout`, names the call in a line of its own.
        """
        if not self._said.closed:
            said = os.pread(self._said.fileno(), _MOST_SAID, 0)
            self._refused = sum(b"fork" in line for line in said.splitlines())
        return self._refused

    def end(self) -> None:
        if self._cycle is not None:
            self._cycle.end()
        if self._main is not None:
            end_family(self._main)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_LIMIT_S)
        self.refusals()
        self._said.close()
