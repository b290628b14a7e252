"""The Docker engine: its errors become one line, and its commands are bounded."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import docker
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from gameday.environment.protocol import Ran
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND

__all__ = [
    "EngineTrouble",
    "engine_client",
    "engine_problem",
    "engine_trouble",
    "has_engine",
    "ran_in",
    "ran_once",
    "refusing",
]

_SOCKET = "/var/run/docker.sock"
"""Where the client looks for an engine unless DOCKER_HOST says otherwise."""

_NOT_RUN = (124, 126, 127, 137)
"""What `timeout` ends with when the command took too long, or could not be run at all."""


class _DirectApi(docker.APIClient):
    """Asks the engine itself, whatever proxy the caller's variables name: it is on this host."""

    @property
    def trust_env(self) -> bool:
        return False

    @trust_env.setter
    def trust_env(self, value: bool) -> None:
        """Pass over what a session of requests sets before it asks for the engine's version."""


class _DirectClient(docker.DockerClient):
    def __init__(self, *args: object, **kwargs: object) -> None:
        self.api = _DirectApi(*args, **kwargs)  # type: ignore[arg-type]


def engine_client(limit_s: int) -> docker.DockerClient:
    """Return a client of the engine that DOCKER_HOST names, or the usual one. It is asked here."""
    return _DirectClient.from_env(timeout=limit_s)


def has_engine() -> bool:
    """Tell whether there is a Docker engine for this user to ask, whether or not it answers."""
    address = os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    kind, _, place = address.partition("://")
    return kind != "unix" or os.access(place, os.R_OK | os.W_OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTrouble:
    """Why no Docker engine can be used, and how to get one."""

    seen: str
    cure: str


def engine_problem(limit_s: int = 3) -> str | None:
    """Return why no Docker engine can be used, with a cure, or None when one answers."""
    trouble = engine_trouble(limit_s)
    return None if trouble is None else f"no Docker engine answers: {trouble.seen}; {trouble.cure}"


def engine_trouble(limit_s: int = 3) -> EngineTrouble | None:
    """Ask the engine for a sign of life; return what is wrong with it, or None."""
    try:
        client = engine_client(limit_s)
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, requests.RequestException) as error:
        return _trouble(error, os.environ.get("DOCKER_HOST", ""))
    return None


def _trouble(error: Exception, chosen: str) -> EngineTrouble:
    """Say it in the kernel's words: around them are those of several libraries."""
    innermost = _of_the_kernel(error)
    where = f"DOCKER_HOST={chosen}" if chosen else _SOCKET
    if isinstance(innermost, PermissionError):
        return EngineTrouble(
            seen=f"this user may not open the socket {where}", cure="join the group docker"
        )
    what = str(error).splitlines()[0] if innermost is None else innermost.strerror
    if chosen:
        return EngineTrouble(
            seen=f"{where}: {what}", cure="start that engine, or unset DOCKER_HOST"
        )
    return EngineTrouble(seen=f"{where}: {what}", cure="install and start a Docker engine")


def _of_the_kernel(error: BaseException) -> OSError | None:
    """Return the innermost error with a number, among the causes and the arguments of an error."""
    seen: list[BaseException] = []
    found = None
    ahead: list[object] = [error]
    while ahead:
        one = ahead.pop(0)
        if not isinstance(one, BaseException) or one in seen:
            continue
        seen.append(one)
        if isinstance(one, OSError) and one.errno and one.strerror:
            found = one
        ahead += [*one.args, one.__cause__, one.__context__]
    return found


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn an engine's error into one line that says what was asked for."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        innermost = _of_the_kernel(error)
        why = error if innermost is None else innermost.strerror
        raise EnvironmentRefused(f"{what}: {why}") from error


def ran_in(
    container: Container, command: Sequence[str], limit_ns: int, *, user: str, what: str
) -> Ran:
    """Run a command in a living container; EnvironmentRefused if that takes too long."""
    with refusing(what), closing(engine_client(limit_ns // SECOND + 5)) as engine:
        bounded = _bounded(command, limit_ns)
        made = engine.api.exec_create(str(container.id), bounded, user=user)
        output: bytes = engine.api.exec_start(made["Id"])
        code = int(engine.api.exec_inspect(made["Id"])["ExitCode"])
    return _ran(code, output, what)


def ran_once(
    container: Container, command: Sequence[str], limit_ns: int, *, user: str, what: str
) -> Ran:
    """Run a command in a container of its own, with the volumes of one that may be dead."""
    with refusing(what), closing(engine_client(limit_ns // SECOND + 5)) as engine:
        made = engine.containers.create(
            container.attrs["Image"],
            [],
            entrypoint=_bounded(command, limit_ns),
            user=user,
            network_mode="none",
            labels=dict(container.labels),
            volumes_from=[str(container.id)],
        )
        try:
            made.start()
            code = int(made.wait()["StatusCode"])
            output = made.logs()
        finally:
            made.remove(force=True)
    return _ran(code, output, what)


def _bounded(command: Sequence[str], limit_ns: int) -> list[str]:
    return ["timeout", "-s", "KILL", f"{limit_ns / SECOND:.3f}", *command]


def _ran(code: int, output: bytes, what: str) -> Ran:
    text = output.decode(errors="replace")
    if code in _NOT_RUN:
        raise EnvironmentRefused(f"{what}: exit code {code} {text.strip()}")
    return Ran(code=code, output=text)
