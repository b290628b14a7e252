"""Everything that speaks Toxiproxy's API: gameday's own proxy and the real one."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from gameday.edge.servers import (
    ProxyProcess,
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)

LIMIT_S = 5.0

Connect = Callable[[tuple[str, int]], AbstractContextManager[socket.socket]]
ReadToEnd = Callable[[socket.socket], bytes]
Took = Callable[[Callable[[], object]], float]


class Server:
    """A proxy server, called as a stranger would: bytes and status codes, no library between."""

    def __init__(self, process: ProxyProcess) -> None:
        self.process = process
        self.host, self.port = process.control.endpoint.host, process.control.endpoint.port

    def call(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        connection = http.client.HTTPConnection(self.host, self.port, timeout=LIMIT_S)
        try:
            connection.request(method, path, body=raw)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content.decode()

    def create(self, upstream: str, name: str = "p") -> tuple[str, int]:
        given = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream}
        status, shape = self.call("POST", "/proxies", given)
        assert status == 201
        assert isinstance(shape, dict)
        host, _, port = str(shape["listen"]).rpartition(":")
        return host, int(port)

    def toxic(self, kind: str, stream: str = "downstream", **attributes: int) -> None:
        given = {"type": kind, "stream": stream, "attributes": attributes}
        status, answer = self.call("POST", "/proxies/p/toxics", given)
        assert status == 200, answer


class Upstream:
    """A listener that gives the connections it accepts to the test."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(LIMIT_S)
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        connection, _peer = self.socket.accept()
        connection.settimeout(LIMIT_S)
        self.accepted.append(connection)
        return connection

    def close(self) -> None:
        for each in (*self.accepted, self.socket):
            each.close()


@pytest.fixture(scope="session", params=["own", "own-on-asyncio", "toxiproxy"])
def process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    log = tmp_path_factory.mktemp("proxy") / "proxy.log"
    started: ProxyProcess
    if request.param == "own":
        started = start_own_proxy(log, 1, "--loop=uvloop")
    elif request.param == "own-on-asyncio":
        started = start_own_proxy(log, 1, "--loop=asyncio")
    else:
        path = find_toxiproxy_server()
        if path is None:
            pytest.skip("missing: toxiproxy-server on PATH")
        started = start_toxiproxy_server(path, log)
    try:
        yield started
    finally:
        started.stop(LIMIT_S)


@pytest.fixture
def server(process: ProxyProcess) -> Iterator[Server]:
    server = Server(process)
    yield server
    for name in process.control.proxies():
        process.control.delete(name)


@pytest.fixture(scope="session", params=["uvloop", "asyncio"])
def own_process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    log = tmp_path_factory.mktemp("proxy") / "proxy.log"
    started = start_own_proxy(log, 1, f"--loop={request.param}")
    yield started
    started.stop(LIMIT_S)


@pytest.fixture
def own(own_process: ProxyProcess) -> Iterator[Server]:
    """gameday's own proxy only, for what Toxiproxy lacks or does otherwise."""
    yield Server(own_process)
    for name in own_process.control.proxies():
        own_process.control.delete(name)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def client() -> Connect:
    """Connect to an address, with a limit on every wait."""

    @contextmanager
    def connect(address: tuple[str, int]) -> Iterator[socket.socket]:
        with socket.create_connection(address, timeout=LIMIT_S) as connection:
            yield connection

    return connect


@pytest.fixture
def read_to_end() -> ReadToEnd:
    def read(connection: socket.socket) -> bytes:
        got = b""
        while chunk := connection.recv(65536):
            got += chunk
        return got

    return read


@pytest.fixture
def took_s() -> Took:
    def took(work: Callable[[], object]) -> float:
        start = time.monotonic()
        work()
        return time.monotonic() - start

    return took
