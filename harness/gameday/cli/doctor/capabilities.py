"""What works on this host, found out by using it."""

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gameday.api.mechanism import Lacking, Mechanism, trial
from gameday.cleanup.labels import labelled
from gameday.cleanup.supervisor import SupervisorProcess
from gameday.cli.doctor.requirements import mechanisms_of_faults
from gameday.cli.doctor.servers import kinds_of_the_first_scenario, scratch, server_of
from gameday.edge.servers import (
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)
from gameday.errors import EnvironmentRefused
from gameday.extras import docker_missing
from gameday.model.clock import MILLISECOND
from gameday.model.units import format_duration
from gameday.proxy.timer import DeadlineTimer
from gameday.registry import KINDS, registry
from gameday.runtimes.mechanisms.containers import ENGINE, images

__all__ = ["PROXY", "Capability", "can_run", "examine", "usual_runtime"]

_SYNCS = 20
_RINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One mechanism: whether it works here, what was seen, what needs it and how to get it."""

    name: str
    works: bool
    seen: str
    used_for: str
    cure: str = ""
    """How to get it, or what to do without it; empty where it works."""
    instead: str = ""
    """What is used in its place here; empty where it works, and where nothing is."""


def examine(progress: Callable[[str], None]) -> Iterator[Capability]:
    """Yield each mechanism as it has been tried; everything that was started is gone again.

    `progress` is told the name of each before.
    """
    for mechanism in _all():
        progress(mechanism.name)
        tried = trial(mechanism)
        yield Capability(
            name=mechanism.name,
            works=tried.works,
            seen=tried.seen,
            used_for=mechanism.used_for,
            cure=tried.cure,
            instead="" if tried.works else mechanism.instead,
        )


def usual_runtime() -> str:
    """Return the environment that scenarios run in unless another is asked for."""
    return "docker" if trial(ENGINE).works else "process"


def can_run(runtime: str) -> bool:
    """Tell whether the first scenario can run in that environment."""
    servers = map(server_of, kinds_of_the_first_scenario())
    needed = (ENGINE,) if runtime == "docker" else (*servers, PROXY)
    return all(trial(mechanism).works for mechanism in (*needed, _JANITOR))


def _proxy() -> str:
    with scratch() as (run, folder), labelled(run), socket.socket() as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.listen()
        proxy = start_own_proxy(folder / "log", seed=0)
        try:
            address = f"127.0.0.1:{upstream.getsockname()[1]}"
            listen = proxy.control.create("doctor", "127.0.0.1:0", address)
            host, _, port = listen.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=2) as client:
                client.sendall(b"ping")
                upstream.settimeout(2)
                behind, _ = upstream.accept()
                with behind:
                    behind.settimeout(2)
                    if behind.recv(4) != b"ping":
                        raise OSError("the data did not come through")
        finally:
            proxy.stop(3)
    return "a connection went through it"


def _toxiproxy() -> str:
    server = find_toxiproxy_server()
    if server is None:
        raise OSError("no toxiproxy-server on PATH")
    if absent := docker_missing():
        raise Lacking(absent.seen, absent.cure)
    with scratch() as (run, folder), labelled(run):
        try:
            proxy = start_toxiproxy_server(server, folder / "log")
        except EnvironmentRefused as error:
            raise OSError(f"{server}: {str(error).partition('; command')[0]}") from error
        try:
            return f"version {proxy.control.version()} answers"
        finally:
            proxy.stop(3)


def _supervisor() -> str:
    with scratch() as (run, folder):
        supervisor = SupervisorProcess(run, in_docker=False, log=folder / "log")
        with labelled(run):
            sleeper = subprocess.Popen(["sleep", "30"], start_new_session=True)
        supervisor.start()
        supervisor.abandon()
        try:
            sleeper.wait(5)
        except subprocess.TimeoutExpired:
            sleeper.kill()
            raise OSError("it did not remove what was left") from None
    return "it removed an orphaned process"


def _timer() -> str:
    """Let the kernel's timer ring some times, each a millisecond ahead."""

    async def late_ns() -> list[int]:
        rang = asyncio.Event()
        timer = DeadlineTimer(asyncio.get_running_loop(), ahead_ns=0)
        if not timer.is_kernels:
            raise OSError("this kernel has none")
        late = []
        for _ in range(_RINGS):
            rang.clear()
            due_ns = time.monotonic_ns() + MILLISECOND
            timer.at(due_ns, rang.set)
            await asyncio.wait_for(rang.wait(), 1)
            late.append(time.monotonic_ns() - due_ns)
        timer.close()
        return sorted(late)

    late = asyncio.run(late_ns())
    return f"rings {format_duration(late[_RINGS // 2])} late, at most {format_duration(late[-1])}"


def _disk() -> str:
    with tempfile.TemporaryFile() as file:
        took = []
        for _ in range(_SYNCS):
            began_ns = time.monotonic_ns()
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
            took.append(time.monotonic_ns() - began_ns)
    took.sort()
    return f"a sync takes {format_duration(took[_SYNCS // 2])}, at most {format_duration(took[-1])}"


PROXY = Mechanism(
    name="gameday's own proxy",
    used_for="the proxies of process",
    cure="report what was seen",
    check=_proxy,
)
_JANITOR = Mechanism(
    name="janitor",
    used_for="healing when the harness is killed",
    cure="report what was seen",
    check=_supervisor,
)
_TOXIPROXY = Mechanism(
    name="toxiproxy-server",
    used_for="--gameday-proxy=toxiproxy in process",
    cure="install Toxiproxy's server",
    check=_toxiproxy,
    instead=PROXY.name,
)
_TIMER = Mechanism(
    name="kernel timer",
    used_for="load on time",
    cure="use Linux",
    check=_timer,
    instead="sleeps, which are later",
)
_DISK = Mechanism(
    name="disk",
    used_for="services that sync their writes",
    cure="let TMPDIR be on a disk that can be written",
    check=_disk,
)


def _all() -> Iterator[Mechanism]:
    yield ENGINE
    yield from images()
    for technology in registry().technologies.values():
        yield from technology.mechanisms
    yield from map(server_of, KINDS)
    yield from (PROXY, _TOXIPROXY, _JANITOR, _TIMER, _DISK)
    yield from mechanisms_of_faults()
