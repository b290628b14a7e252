"""Whether a Docker engine can be used, checked before its packages are imported."""

import http.client
import json
import os
import socket
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from gameday.extras import docker_missing, installing

__all__ = ["EngineTrouble", "engine_problem", "engine_trouble", "has_engine", "innermost_os_error"]

_SOCKET = "/var/run/docker.sock"
"""Where the client looks for an engine unless DOCKER_HOST says otherwise."""
_PLAIN_SCHEMES = ("tcp", "http")
_ENGINE_PORT = 2375


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTrouble:
    """Why no Docker engine can be used, and what to do about it."""

    seen: str
    cure: str
    unusable: bool = False
    """An engine answers and its packages are installed, but they cannot talk to it."""


def has_engine() -> bool:
    """Tell whether there is a Docker engine for this user to ask, whether or not it answers."""
    kind, _, place = _address().partition("://")
    return kind != "unix" or os.access(place, os.R_OK | os.W_OK)


def engine_problem(limit_s: int = 3) -> str | None:
    """Return why no Docker engine can be used, with a cure, or None when one answers."""
    trouble = engine_trouble(limit_s)
    if trouble is None:
        return None
    what = "the Docker engine cannot be used" if trouble.unusable else "no Docker engine answers"
    return f"{what}: {trouble.seen}; {trouble.cure}"


def engine_trouble(limit_s: int = 3) -> EngineTrouble | None:
    """Ask the engine for a sign of life; return what is wrong with it, or None.

    It is asked over its socket first: only where it answers are the packages imported that talk
    to it, which takes a quarter of a second.
    """
    if context := _foreign_context():
        return EngineTrouble(
            seen=f"the Docker context {context!r} is active, but gameday uses DOCKER_HOST",
            cure="export DOCKER_HOST=\"$(docker context inspect -f '{{.Endpoints.docker.Host}}')\"",
        )
    try:
        answered = _ping(limit_s)
    except OSError as error:
        return _silent(error)
    missing = docker_missing()
    if missing is not None:
        what = "answers" if answered else "is not asked"
        return EngineTrouble(seen=f"{_where()} {what}, but {missing.seen}", cure=missing.cure)
    return _trouble_of_the_client(limit_s, answered=answered)


def innermost_os_error(error: BaseException) -> OSError | None:
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


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"


def _foreign_context() -> str:
    """Return the context of the docker command that chooses another engine than we would ask.

    Some versions of the Python packages follow it and others do not: a run would be in two engines.
    """
    if os.environ.get("DOCKER_HOST"):
        return ""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = os.environ.get("DOCKER_CONTEXT")
    if not name:
        try:
            name = str(json.loads((folder / "config.json").read_text())["currentContext"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""
    return "" if name == "default" else name


def _where() -> str:
    chosen = os.environ.get("DOCKER_HOST")
    return f"DOCKER_HOST={chosen}" if chosen else _SOCKET


def _ping(limit_s: int) -> bool:
    """Return whether the engine answered; False where only its own client can ask.

    Raises OSError if nothing answers.
    """
    kind, _, place = _address().partition("://")
    if kind == "unix":
        connection: http.client.HTTPConnection = _OverSocket(place, limit_s)
    elif kind in _PLAIN_SCHEMES and not os.environ.get("DOCKER_TLS_VERIFY"):
        host, _, port = place.partition("/")[0].rpartition(":")
        if not (host and port.isdigit()):
            host, port = place.partition("/")[0], str(_ENGINE_PORT)
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=limit_s)
    else:
        return False
    try:
        connection.request("GET", "/_ping", headers={"Host": "docker"})
        return connection.getresponse().status == http.client.OK
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix domain socket."""

    def __init__(self, path: str, limit_s: int) -> None:
        super().__init__("localhost", timeout=limit_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _trouble_of_the_client(limit_s: int, *, answered: bool) -> EngineTrouble | None:
    """Ask the engine by the package docker; that may fail where the engine answers all the same."""
    try:
        from gameday.host import docker_engine as engine

        client = engine.engine_client(limit_s)
        try:
            client.ping()
        finally:
            client.close()
    except Exception as error:
        # What a version of docker that does not fit the installed requests raises, nobody knows.
        cause = innermost_os_error(error)
        if cause is not None:
            return _silent(cause)
        what = str(error).splitlines()[0] if str(error) else repr(error)
        if not answered:
            return EngineTrouble(seen=f"{_where()}: {what}", cure=_cure_of_silence())
        return EngineTrouble(
            seen=f"{_where()} answers, but the Python package docker {version('docker')} "
            f"cannot talk to it: {what}",
            cure=f"{installing('docker').replace('install', 'install --upgrade', 1)}, "
            "or use --gameday-runtime=process",
            unusable=True,
        )
    return None


def _silent(error: OSError) -> EngineTrouble:
    """Say it in the kernel's words: around them are those of several libraries."""
    if isinstance(error, PermissionError):
        return EngineTrouble(
            seen=f"this user may not open the socket {_where()}", cure="join the group docker"
        )
    what = error.strerror or str(error) or type(error).__name__
    return EngineTrouble(seen=f"{_where()}: {what}", cure=_cure_of_silence())


def _cure_of_silence() -> str:
    if os.environ.get("DOCKER_HOST"):
        return "start that engine, or unset DOCKER_HOST"
    return "install and start a Docker engine"
