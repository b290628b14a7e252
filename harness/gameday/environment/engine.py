"""The Docker engine: its errors become one line, and its commands are bounded."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import docker
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from gameday.environment.protocol import Ran
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND

__all__ = ["engine_problem", "has_engine", "ran_in", "ran_once", "refusing"]

_USUAL = "unix:///var/run/docker.sock"
_NOT_RUN = (124, 126, 127, 137)
"""What `timeout` ends with when the command took too long, or could not be run at all."""


def has_engine() -> bool:
    """Tell whether there is a Docker engine for this user to ask, whether or not it answers."""
    address = os.environ.get("DOCKER_HOST") or _USUAL
    kind, _, place = address.partition("://")
    return kind != "unix" or os.access(place, os.R_OK | os.W_OK)


def engine_problem(limit_s: int = 3) -> str | None:
    """Return why no Docker engine can be used, or None when one answers."""
    try:
        client = docker.from_env(timeout=limit_s)
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, requests.RequestException) as error:
        return f"no Docker engine answers: {str(error).splitlines()[0]}"
    return None


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn an engine's error into one line that says what was asked for."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise EnvironmentRefused(f"{what}: {error}") from error


def ran_in(
    container: Container, command: Sequence[str], limit_ns: int, *, user: str, what: str
) -> Ran:
    """Run a command in a living container; EnvironmentRefused if that takes too long."""
    with refusing(what), closing(docker.from_env(timeout=limit_ns // SECOND + 5)) as engine:
        bounded = _bounded(command, limit_ns)
        made = engine.api.exec_create(str(container.id), bounded, user=user)
        output: bytes = engine.api.exec_start(made["Id"])
        code = int(engine.api.exec_inspect(made["Id"])["ExitCode"])
    return _ran(code, output, what)


def ran_once(
    container: Container, command: Sequence[str], limit_ns: int, *, user: str, what: str
) -> Ran:
    """Run a command in a container of its own, with the volumes of one that may be dead."""
    with refusing(what), closing(docker.from_env(timeout=limit_ns // SECOND + 5)) as engine:
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
