"""What works on this host, found out by using it."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from gameday.environment.containers import TOXIPROXY_IMAGE, engine_problem
from gameday.environment.janitor import Janitor
from gameday.environment.marks import make_folder, marked
from gameday.environment.mechanisms import Mechanism, trial
from gameday.environment.process_service import ProcessService
from gameday.environment.proxies import find_toxiproxy_server, start_own_proxy
from gameday.environment.reaping import leftovers_of, reap
from gameday.environment.services import KINDS
from gameday.environment.waiting import free_ports
from gameday.faults.registry import MECHANISMS
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import ServiceSpec
from gameday.model.units import format_duration
from gameday.workload.timer import KernelTimer

__all__ = ["Capability", "examine"]

_START_LIMIT_NS = 10 * SECOND
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


def examine() -> Iterator[Capability]:
    """Yield each mechanism as it has been tried; everything that was started is gone again."""
    for mechanism in (*_OWN, *MECHANISMS):
        tried = trial(mechanism)
        yield Capability(
            name=mechanism.name,
            works=tried.works,
            seen=tried.seen,
            used_for=mechanism.used_for,
            cure="" if tried.works else mechanism.cure,
        )


def _engine() -> str:
    problem = engine_problem()
    if problem is not None:
        raise OSError(problem)
    return "it answers a ping"


def _images() -> str:
    import docker
    from docker.errors import DockerException, ImageNotFound

    wanted = [TOXIPROXY_IMAGE, KINDS["redis"].image(ServiceSpec(name="redis", kind="redis"))]
    try:
        client = docker.from_env(timeout=5)
    except DockerException as error:
        raise OSError("no engine to ask") from error
    absent = []
    for image in wanted:
        try:
            client.images.get(image)
        except ImageNotFound:
            absent.append(image)
    client.close()
    if absent:
        raise OSError(f"not here yet: {', '.join(absent)}")
    return ", ".join(wanted)


def _redis() -> str:
    spec = ServiceSpec(name="redis", kind="redis", options={"appendonly": "yes"})
    lack = KINDS["redis"].missing(spec)
    if lack is not None:
        raise OSError(lack)
    with _scratch() as (run, folder), marked(run):
        (port,) = free_ports(1)
        service = ProcessService(
            spec, KINDS["redis"], port=port, home=folder / "redis", log=folder / "log", env={}
        )
        began_ns = time.monotonic_ns()
        service.start()
        evidence = service.wait_until_ready(_START_LIMIT_NS, lambda: None)
        took = format_duration(time.monotonic_ns() - began_ns)
        service.ask_to_end()
        service.make_end(3)
    return f"started in {took}, {evidence}"


def _proxy() -> str:
    with _scratch() as (run, folder), marked(run), socket.socket() as upstream:
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
                        raise OSError("what was sent did not come through")
        finally:
            proxy.stop(3)
    return "a connection went through it"


def _toxiproxy() -> str:
    server = find_toxiproxy_server()
    if server is None:
        raise OSError("no toxiproxy-server on PATH")
    return str(server)


def _janitor() -> str:
    with _scratch() as (run, folder):
        janitor = Janitor(run, in_docker=False, log=folder / "log")
        with marked(run):
            sleeper = subprocess.Popen(["sleep", "30"], start_new_session=True)
        janitor.start()
        janitor.abandon()
        try:
            sleeper.wait(5)
        except subprocess.TimeoutExpired:
            sleeper.kill()
            raise OSError("it did not remove what was left") from None
    return "it removed a process that nobody else would have"


def _timer() -> str:
    """Let the kernel's timer ring some times, each a millisecond ahead."""

    async def late_ns() -> list[int]:
        rang = asyncio.Event()
        timer = KernelTimer(asyncio.get_running_loop(), rang.set)
        late = []
        for _ in range(_RINGS):
            rang.clear()
            due_ns = time.monotonic_ns() + MILLISECOND
            timer.ring_at(due_ns)
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


_OWN = tuple(
    Mechanism(name=name, used_for=used_for, cure=cure, check=check)
    for name, used_for, cure, check in (
        ("docker engine", "runtime docker", "install and start a Docker engine", _engine),
        ("docker images", "runtime docker", "they are pulled at the first run", _images),
        ("redis server", "runtime process", "install redis-server", _redis),
        ("gameday's own proxy", "runtime process", "report what was seen", _proxy),
        ("toxiproxy-server", "--gameday-proxy=toxiproxy", "install Toxiproxy's server", _toxiproxy),
        ("janitor", "healing when the harness is killed", "report what was seen", _janitor),
        ("kernel timer", "load on time", "Linux has it; elsewhere sleeps are used", _timer),
        ("disk", "services that sync their writes", "", _disk),
    )
)


@contextmanager
def _scratch() -> Iterator[tuple[str, Path]]:
    """Yield a run's id and folder, and leave nothing of either."""
    run = token_hex(4)
    folder = make_folder(run)
    try:
        yield run, folder
    finally:
        reap(run, in_docker=False)
        shutil.rmtree(folder, ignore_errors=True)
        left = leftovers_of(run, in_docker=False)
        if left:
            raise OSError(f"left behind: {', '.join(left)}")
