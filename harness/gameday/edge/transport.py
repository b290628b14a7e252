"""How a proxy server is called: over plain HTTP, or with the client that Toxiproxy's users know."""

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gameday.http_reader import BoundedSocket
from gameday.model.clock import SECOND

__all__ = ["TOKEN_VARIABLE", "ApiAnswer", "PlainHttp", "ToxiproxyClient", "Transport"]

TOKEN_VARIABLE = "GAMEDAY_PROXY_TOKEN"  # noqa: S105  a name
"""By which gameday's own proxy is told the token: arguments are for everybody to see."""

# Calls to a server on this host must not go through the proxy that the environment names.
_DIRECT = {"http": None, "https": None, "all": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """What the server answered."""

    status: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace").strip()


_MOST_BYTES = 64_000_000
"""Far more than any list of a proxy server."""


class Transport(Protocol):
    """Carries one call to a proxy server."""

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> ApiAnswer:
        """Return the answer whatever its status is. Raises OSError if there is none in time."""
        ...


class PlainHttp:
    """Calls with the standard library alone, each with a connection and a deadline of its own."""

    def __init__(self, host: str, port: int, limit_s: float, token: str = "") -> None:
        self._address = (host, port)
        self._limit_s = limit_s
        self._authorization = f"Authorization: Bearer {token}\r\n" if token else ""

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> ApiAnswer:
        over_ns = time.monotonic_ns() + int(self._limit_s * SECOND)
        host, port = self._address
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
            f"{self._authorization}\r\n"
        )
        with socket.create_connection(self._address, timeout=self._limit_s) as line:
            line.sendall(head.encode("ascii") + content)
            try:
                with BoundedSocket(line, over_ns, _MOST_BYTES).response(method) as response:
                    response.begin()
                    return ApiAnswer(status=response.status, content=response.read())
            except http.client.HTTPException as error:
                raise OSError(f"not an HTTP answer: {error!r}") from error


class ToxiproxyClient:
    """Calls with toxiproxy-python, adding the time limits and the per-server address it lacks."""

    def __init__(self, host: str, port: int, limit_s: float) -> None:
        from toxiproxy.api import APIConsumer  # type: ignore[import-untyped]  # 150 ms

        class Server(APIConsumer):  # type: ignore[misc]
            """The address of this one server; in the base class it would be everybody's."""

        Server.host = host
        Server.port = port
        self._server = Server
        self._limit_s = limit_s

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> ApiAnswer:
        from toxiproxy import exceptions  # type: ignore[import-untyped]

        given = {} if body is None else {"json": body}
        call = getattr(self._server, method.lower())
        try:
            response = call(path, timeout=self._limit_s, proxies=_DIRECT, **given)
        except exceptions.NotFound as error:
            return _refused(http.client.NOT_FOUND, error)
        except exceptions.ProxyExists as error:
            return _refused(http.client.CONFLICT, error)
        except exceptions.InvalidToxic as error:
            return _refused(http.client.BAD_REQUEST, error)
        return ApiAnswer(status=response.status_code, content=response.content)


def _refused(status: int, error: Exception) -> ApiAnswer:
    said = error.args[0]
    return ApiAnswer(status=status, content=said if isinstance(said, bytes) else str(said).encode())
