"""The Docker engine: errors become one line, and commands are bounded in time."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import docker
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from gameday.api.environment import Ran
from gameday.errors import EnvironmentRefused
from gameday.host.docker_presence import innermost_os_error
from gameday.model.clock import SECOND

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

__all__ = ["engine_client", "ran_in", "ran_once", "refusing", "started"]

_NOT_RUN = (124, 126, 127, 137)
"""What `timeout` ends with when the command took too long, or could not be run at all."""

_NO_ADDRESSES = ("address pool", "no available IPv4 addresses")
_NO_ADDRESSES_CURE = (
    "; the engine has no address range left for another network: remove unused networks by "
    "`docker network prune`, or add to `default-address-pools` in its daemon.json"
)


class _DirectApi(docker.APIClient):
    """Talks to the engine directly, whatever proxy the caller's variables name."""

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


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn an engine's error into one line that says what was asked for."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        innermost = innermost_os_error(error)
        why = error if innermost is None else innermost.strerror
        cure = _NO_ADDRESSES_CURE if any(said in str(error) for said in _NO_ADDRESSES) else ""
        raise EnvironmentRefused(f"{what}: {why}{cure}") from error


def started(made: "DockerContainer") -> Container:
    """Start a container, and return what the engine's own client makes of it."""
    with refusing(f"starting a container of {made.image}"):
        made.start()
    return made.get_wrapped_container()


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
