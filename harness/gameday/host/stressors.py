"""Commands that run beside a service, found again and ended through their processes."""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.errors import EnvironmentRefused
from gameday.host.duty_cycle import DutyCycle
from gameday.host.usage import cpu_ns_of, end_family, living_with, memory_of, waited_ns_of
from gameday.model.clock import SECOND

__all__ = ["HostStressor", "bounded", "start_stressor"]

_END_LIMIT_S = 3.0


def bounded(script: str, limit_ns: int) -> list[str]:
    """Return the command that runs a shell script and kills it after `limit_ns`.

    One signal ends all that it started, because `timeout` has a process group of its own.
    """
    return ["timeout", "-s", "KILL", f"{limit_ns / SECOND:.3f}", "sh", "-c", script]


def start_stressor(
    script: str,
    limit_ns: int,
    share: float,
    *,
    cgroups: Sequence[Path],
    env: Mapping[str, str],
    folder: Path,
) -> "HostStressor":
    """Start a script as a child of this process that has joined the given groups before it runs."""
    command = " ".join(bounded('"$script"', limit_ns))
    join = f"""script=$1; shift
        for cell in "$@"; do echo $$ > "$cell/cgroup.procs" || exit 1; done
        exec {command}"""
    try:
        process = subprocess.Popen(
            ["sh", "-c", join, "sh", script, *map(str, cgroups)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentRefused(f"a stressor could not be started: {error}") from error
    return _ChildStressor(process, share)


class HostStressor:
    """A stressor whose processes are on this host, in a session of their own."""

    def __init__(self, main: psutil.Process | None, share: float) -> None:
        self._main = main
        self._cycle = None if share == 1 else DutyCycle(self.family, share)
        if self._cycle is not None:
            self._cycle.start()

    def family(self) -> list[psutil.Process]:
        """Return its living processes."""
        return [] if self._main is None else living_with(self._main)

    def alive(self) -> bool:
        return bool(self.family())

    def cpu_ns(self) -> int:
        return cpu_ns_of(self.family())

    def waited_ns(self) -> int:
        return waited_ns_of(self.family())

    def memory_bytes(self) -> int:
        return memory_of(self.family())

    def end(self) -> None:
        if self._cycle is not None:
            self._cycle.end()
        if self._main is not None:
            end_family(self._main)


class _ChildStressor(HostStressor):
    """A stressor that is a child of this process, which must reap it."""

    def __init__(self, process: "subprocess.Popen[bytes]", share: float) -> None:
        self._process = process
        main: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(process.pid)
        super().__init__(main, share)

    def family(self) -> list[psutil.Process]:
        self._process.poll()
        return super().family()

    def end(self) -> None:
        super().end()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_LIMIT_S)
