"""The processes of one service on this host: found, frozen, thawed and signalled."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.api.environment import ChildProcess, FreezerState
from gameday.host.usage import lives

__all__ = [
    "child_processes_of",
    "freezer_state_of",
    "is_of_container",
    "of_container",
    "of_main",
    "send",
    "stop_all",
]

_ROUNDS = 5
"""How often it is looked for processes that were forked while the others were stopped."""


def of_main(main: psutil.Process) -> list[psutil.Process]:
    """Return the living processes that began with `main`: itself first, its session, its children.

    Some servers give each child a session of its own, so the session alone is not enough.
    """
    found: dict[int, psutil.Process] = {}
    with suppress(psutil.NoSuchProcess):
        if psutil.Process(main.pid) != main:
            return []  # The number belongs to somebody else by now, and so does the session.
        found[main.pid] = main
        found |= {child.pid: child for child in main.children(recursive=True)}
    for other in psutil.pids():
        with suppress(OSError, psutil.NoSuchProcess):
            if other not in found and os.getsid(other) == main.pid:
                found[other] = psutil.Process(other)
    return [process for process in found.values() if lives(process)]


def of_container(container: str) -> list[psutil.Process]:
    """Return the living processes of this host whose cgroup is that of a container."""
    found = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.NoSuchProcess):
            if container in Path(f"/proc/{pid}/cgroup").read_text():
                found.append(psutil.Process(pid))
    return [process for process in found if lives(process)]


def is_of_container(pid: int, container: str) -> bool:
    """Tell whether a process of this host is one of a container with that id."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def freezer_state_of(processes: Iterable[psutil.Process]) -> FreezerState:
    """Return whether all, some or none of the processes are stopped by a signal."""
    stopped = {p.status() == psutil.STATUS_STOPPED for p in processes if lives(p)}
    if stopped == {True}:
        return "frozen"
    return "partly frozen" if True in stopped else "running"


def stop_all(main: psutil.Process) -> None:
    """Send SIGSTOP to everything that began with `main`, the main process first.

    What was forked before its parent was stopped is found in the next round.
    """
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        new = [process for process in of_main(main) if process.pid not in stopped]
        if not new:
            return
        send(new, signal.SIGSTOP)
        stopped |= {process.pid for process in new}


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal those that still live; a number that another process has by now is left alone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def child_processes_of(
    processes: Iterable[psutil.Process], *, main: int
) -> tuple[ChildProcess, ...]:
    """Return what is known of each process but the main one."""
    child_processes = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.pid != main:
                command = " ".join(process.cmdline()) or process.name()
                started = process.create_time()
                child_processes.append(
                    ChildProcess(pid=process.pid, started=started, command=command)
                )
    return tuple(child_processes)
