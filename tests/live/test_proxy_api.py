"""One suite for everything that speaks Toxiproxy's API: gameday's own proxy and the real one."""

import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from toxiproxy import Toxiproxy  # type: ignore[import-untyped]
from toxiproxy.exceptions import (  # type: ignore[import-untyped]
    InvalidToxic,
    NotFound,
    ProxyExists,
)

from gameday.environment.proxies import (
    ProxyProcess,
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)

pytestmark = pytest.mark.live

LIMIT_S = 5.0


class Server:
    """A proxy server, called as a stranger would: bytes and status codes, no library between."""

    def __init__(self, process: ProxyProcess) -> None:
        self.process = process
        api: object = process.control._server
        self.host, self.port = str(api.host), int(api.port)  # type: ignore[attr-defined]

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


@pytest.fixture(scope="module", params=["own", "toxiproxy"])
def process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    log = tmp_path_factory.mktemp("proxy") / "proxy.log"
    started: ProxyProcess
    if request.param == "own":
        started = start_own_proxy(log, seed=1)
    else:
        path = find_toxiproxy_server()
        if path is None:
            pytest.skip("toxiproxy-server is not on PATH")
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


@pytest.fixture(scope="module")
def own_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    started = start_own_proxy(tmp_path_factory.mktemp("proxy") / "proxy.log", seed=1)
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


@contextmanager
def client(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=LIMIT_S) as connection:
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    got = b""
    while chunk := connection.recv(65536):
        got += chunk
    return got


def took_s(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


PROXY: dict[str, object] = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
TOXIC: dict[str, object] = {"type": "latency", "attributes": {"latency": 50}}

REFUSALS: dict[str, tuple[str, str, object, int, str]] = {
    "no name": ("POST", "/proxies", {"upstream": "a:1"}, 400, "missing required field: name"),
    "no upstream": ("POST", "/proxies", {"name": "a"}, 400, "missing required field: upstream"),
    "no JSON": ("POST", "/proxies", b"{bad", 400, "bad request body"),
    "no body": ("POST", "/proxies", b"", 400, "bad request body: EOF"),
    "a name that is a number": ("POST", "/proxies", {"name": 5}, 400, "bad request body"),
    "a name twice": ("POST", "/proxies", PROXY, 409, "proxy already exists"),
    "no port": ("POST", "/proxies", {**PROXY, "name": "q", "listen": "x"}, 500, "missing port"),
    "unknown proxy": ("GET", "/proxies/q", None, 404, "proxy not found"),
    "unknown proxy changed": ("PATCH", "/proxies/q", {}, 404, "proxy not found"),
    "unknown proxy deleted": ("DELETE", "/proxies/q", None, 404, "proxy not found"),
    "toxics of no proxy": ("GET", "/proxies/q/toxics", None, 404, "proxy not found"),
    "unknown toxic": ("GET", "/proxies/p/toxics/t", None, 404, "toxic not found"),
    "unknown toxic changed": ("PATCH", "/proxies/p/toxics/t", {}, 404, "toxic not found"),
    "unknown toxic deleted": ("DELETE", "/proxies/p/toxics/t", None, 404, "toxic not found"),
    "unknown type": ("POST", "/proxies/p/toxics", {"type": "x"}, 400, "invalid toxic type"),
    "no type": ("POST", "/proxies/p/toxics", {}, 400, "invalid toxic type"),
    "bad stream": ("POST", "/proxies/p/toxics", {**TOXIC, "stream": "x"}, 400, "stream was"),
    "text as number": (
        "POST", "/proxies/p/toxics", {**TOXIC, "attributes": {"latency": "5"}}, 400, "bad request",
    ),
    "fraction": (
        "POST", "/proxies/p/toxics", {**TOXIC, "attributes": {"latency": 0.5}}, 400, "bad request",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_the_status_and_the_shape_of_toxiproxy(server: Server, case: str) -> None:
    method, path, body, status, message = REFUSALS[case]
    server.create("127.0.0.1:9")
    got, answer = server.call(method, path, body)
    assert got == status
    assert isinstance(answer, dict)
    assert set(answer) == {"error", "status"}
    assert answer["status"] == status
    assert message in answer["error"]


def test_unknown_paths_and_methods_are_told_apart(server: Server) -> None:
    assert server.call("GET", "/nope") == (404, "404 page not found\n")
    assert server.call("PUT", "/proxies") == (405, "")


def test_the_version_is_json(server: Server) -> None:
    status, answer = server.call("GET", "/version")
    assert status == 200
    assert isinstance(answer, dict)
    assert list(answer) == ["version"]


def test_a_proxy_is_created_shown_listed_and_deleted(server: Server) -> None:
    status, created = server.call("POST", "/proxies", PROXY)
    assert status == 201
    assert isinstance(created, dict)
    listen = created.pop("listen")
    expected = {"name": "p", "upstream": "127.0.0.1:9", "enabled": True, "Logger": {}, "toxics": []}
    assert created == expected
    whole = {**expected, "listen": listen}
    assert not listen.endswith(":0")
    assert server.call("GET", "/proxies/p") == (200, whole)
    assert server.call("GET", "/proxies") == (200, {"p": whole})
    assert server.call("DELETE", "/proxies/p") == (204, "")
    assert server.call("GET", "/proxies") == (200, {})


def test_a_proxy_that_is_created_disabled_does_not_listen(server: Server) -> None:
    status, shape = server.call("POST", "/proxies", {**PROXY, "enabled": False})
    assert status == 201
    assert isinstance(shape, dict)
    assert (shape["enabled"], shape["listen"]) == (False, "127.0.0.1:0")


def test_a_taken_port_is_refused_and_leaves_no_proxy(server: Server) -> None:
    given = {**PROXY, "listen": f"{server.host}:{server.port}"}
    status, answer = server.call("POST", "/proxies", given)
    assert status == 500
    wanted = f"listen tcp {server.host}:{server.port}: bind: address already in use"
    assert answer == {"error": wanted, "status": 500}
    assert server.call("GET", "/proxies") == (200, {})


def test_bytes_pass_both_ways_unchanged(server: Server, upstream: Upstream) -> None:
    payload = bytes(range(256)) * 4096
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            # Neither side's buffers hold it all.
            writer = threading.Thread(target=sender.sendall, args=(payload,), daemon=True)
            writer.start()
            got = b""
            while len(got) < len(payload):
                got += receiver.recv(65536)
            writer.join(LIMIT_S)
            assert got == payload


def test_disabling_closes_connections_and_refuses_new_ones(
    server: Server, upstream: Upstream
) -> None:
    address = server.create(upstream.address)
    with client(address) as ours:
        theirs = upstream.accept()
        status, shape = server.call("POST", "/proxies/p", {"enabled": False})
        assert status == 200
        assert isinstance(shape, dict)
        assert shape["enabled"] is False
        assert ours.recv(1) == b""
        assert theirs.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=LIMIT_S)


def test_enabling_again_keeps_the_port(server: Server, upstream: Upstream) -> None:
    address = server.create(upstream.address)
    for _ in range(5):
        assert server.call("PATCH", "/proxies/p", {"enabled": False})[0] == 200
        status, shape = server.call("PATCH", "/proxies/p", {"enabled": True})
        assert status == 200
        assert isinstance(shape, dict)
        assert shape["listen"] == f"{address[0]}:{address[1]}"
    with client(address) as ours:
        ours.sendall(b"x")
        assert upstream.accept().recv(1) == b"x"


def test_an_upstream_can_be_changed_and_open_connections_end(
    server: Server, upstream: Upstream
) -> None:
    address = server.create("127.0.0.1:9")
    status, shape = server.call("PATCH", "/proxies/p", {"upstream": upstream.address})
    assert status == 200
    assert isinstance(shape, dict)
    assert shape["listen"] == f"{address[0]}:{address[1]}"
    with client(address) as ours:
        upstream.accept()
        server.call("PATCH", "/proxies/p", {"upstream": "127.0.0.1:9"})
        assert ours.recv(1) == b""


def test_a_listen_address_can_be_changed(server: Server, upstream: Upstream) -> None:
    old = server.create(upstream.address)
    status, shape = server.call("PATCH", "/proxies/p", {"listen": "localhost:0"})
    assert status == 200
    assert isinstance(shape, dict)
    host, _, port = shape["listen"].rpartition(":")
    assert (host, shape["enabled"]) == ("127.0.0.1", True)
    assert int(port) not in (0, old[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(old, timeout=LIMIT_S)


def test_a_toxic_is_created_changed_listed_and_removed(server: Server) -> None:
    server.create("127.0.0.1:9")
    shape = {
        "attributes": {"latency": 50, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1,
    }
    path = "/proxies/p/toxics/latency_downstream"
    assert server.call("POST", "/proxies/p/toxics", TOXIC) == (200, shape)
    assert server.call("POST", "/proxies/p/toxics", TOXIC)[0] == 409
    changed = {**shape, "attributes": {"latency": 50, "jitter": 5}, "toxicity": 0.25}
    assert server.call("POST", path, {"attributes": {"jitter": 5}})[0] == 200
    assert server.call("PATCH", path, {"toxicity": 0.25}) == (200, changed)
    upstream_toxic = {"name": "u", "stream": "upstream", "toxicity": 0.5, **TOXIC}
    assert server.call("POST", "/proxies/p/toxics", upstream_toxic)[0] == 200
    status, listed = server.call("GET", "/proxies/p/toxics")
    assert status == 200
    assert isinstance(listed, list)
    assert [toxic["name"] for toxic in listed] == ["u", "latency_downstream"]
    assert server.call("GET", path) == (200, changed)
    assert server.call("DELETE", path) == (204, "")
    assert server.call("DELETE", path)[0] == 404


def test_a_reset_enables_proxies_and_removes_toxics(server: Server) -> None:
    server.create("127.0.0.1:9")
    server.toxic("latency", latency=50)
    server.call("PATCH", "/proxies/p", {"enabled": False})
    assert server.call("POST", "/reset") == (204, "")
    state = server.process.control.proxies()["p"]
    assert (state.enabled, state.toxics) == (True, ())


def test_populate_creates_keeps_and_replaces(server: Server) -> None:
    off = {"name": "q", "upstream": "127.0.0.1:9", "enabled": False}
    status, answer = server.call("POST", "/populate", [PROXY, off])
    assert status == 201
    assert isinstance(answer, dict)
    assert [shape["enabled"] for shape in answer["proxies"]] == [True, False]
    first = answer["proxies"][0]
    server.toxic("latency", latency=5)
    status, again = server.call("POST", "/populate", [{**PROXY, "listen": first["listen"]}])
    assert isinstance(again, dict)
    assert len(again["proxies"][0]["toxics"]) == 1
    moved = {**PROXY, "listen": first["listen"], "upstream": "127.0.0.1:10"}
    status, replaced = server.call("POST", "/populate", [moved])
    assert status == 201
    assert isinstance(replaced, dict)
    assert replaced["proxies"] == [{**first, "upstream": "127.0.0.1:10"}]


def test_populate_creates_nothing_when_one_of_its_proxies_is_wrong(server: Server) -> None:
    status, answer = server.call("POST", "/populate", [PROXY, {"name": "q"}])
    assert status == 400
    message = "missing required field: upstream at proxy 2"
    assert answer == {"error": message, "status": 400, "proxies": None}
    assert server.call("GET", "/proxies") == (200, {})


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_its_direction_only(server: Server, upstream: Upstream, stream: str) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("latency", stream, latency=100)
        slow, fast = ((ours, theirs), (theirs, ours))[:: 1 if stream == "upstream" else -1]
        for (sender, receiver), at_least, below in ((slow, 0.1, 0.25), (fast, 0.0, 0.1)):
            sender.sendall(b"x")
            assert at_least <= took_s(lambda r=receiver: r.recv(1)) < below  # type: ignore[misc]
        server.call("DELETE", f"/proxies/p/toxics/latency_{stream}")
        slow[0].sendall(b"y")
        assert took_s(lambda: slow[1].recv(1)) < 0.1


def test_bandwidth_holds_its_rate(server: Server, upstream: Upstream) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("bandwidth", rate=100)
        theirs.sendall(b"x" * 40_000)
        theirs.shutdown(socket.SHUT_WR)
        assert 0.3 < took_s(lambda: read_to_end(ours)) < 0.7


def test_bandwidth_zero_stalls_and_its_removal_delivers(server: Server, upstream: Upstream) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("bandwidth", rate=0)
        theirs.sendall(b"late")
        ours.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ours.recv(1)
        ours.settimeout(LIMIT_S)
        server.call("DELETE", "/proxies/p/toxics/bandwidth_downstream")
        assert ours.recv(4) == b"late"


def test_slow_close_delays_the_end_and_nothing_else(server: Server, upstream: Upstream) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("slow_close", delay=200)
        theirs.sendall(b"x")
        theirs.close()
        assert took_s(lambda: ours.recv(1)) < 0.1
        assert 0.15 < took_s(lambda: ours.recv(1)) < 0.5


def test_timeout_swallows_data_and_closes_in_time(server: Server, upstream: Upstream) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("timeout", timeout=200)
        theirs.sendall(b"x")
        assert 0.15 < took_s(lambda: read_to_end(ours)) < 0.6


def test_removing_a_timeout_closes_the_connection_that_lost_bytes(
    server: Server, upstream: Upstream
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("timeout", timeout=0)
        theirs.sendall(b"x")
        server.call("DELETE", "/proxies/p/toxics/timeout_downstream")
        assert read_to_end(ours) == b""


def test_reset_peer_resets_a_new_connection(server: Server, upstream: Upstream) -> None:
    address = server.create(upstream.address)
    server.toxic("reset_peer", timeout=0)

    def speak() -> None:
        with client(address) as ours:
            theirs = upstream.accept()
            with suppress(ConnectionError):
                theirs.sendall(b"x")
            ours.recv(1)

    # The reset may be there before the client's connect returns.
    with pytest.raises(ConnectionResetError):
        speak()


def test_a_slicer_cuts_data_and_loses_none(server: Server, upstream: Upstream) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("slicer", average_size=10, size_variation=5, delay=2000)
        theirs.sendall(bytes(range(100)))
        first = ours.recv(100)
        assert len(first) < 50
        got = first
        while len(got) < 100:
            got += ours.recv(100)
        assert got == bytes(range(100))


def test_limit_data_closes_after_its_bytes(server: Server, upstream: Upstream) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("limit_data", bytes=7)
        theirs.sendall(b"1234")
        assert ours.recv(4) == b"1234"
        theirs.sendall(b"56789")
        assert read_to_end(ours) == b"567"


def test_toxicity_zero_meets_no_connection(server: Server, upstream: Upstream) -> None:
    address = server.create(upstream.address)
    given = {"type": "latency", "toxicity": 0, "attributes": {"latency": 1000}}
    assert server.call("POST", "/proxies/p/toxics", given)[0] == 200
    with client(address) as ours:
        upstream.accept().sendall(b"x")
        assert took_s(lambda: ours.recv(1)) < 0.5


def test_toxiproxy_python_drives_it(server: Server, upstream: Upstream) -> None:
    api = Toxiproxy()
    api.update_api_consumer(server.host, server.port)
    proxy = api.create(upstream=upstream.address, name="p")
    assert api.get_proxy("p").listen == proxy.listen
    with pytest.raises(ProxyExists):
        api.create(upstream=upstream.address, name="p")
    proxy.add_toxic(type="latency", attributes={"latency": 50, "jitter": 5})
    assert proxy.get_toxic("latency_downstream").attributes == {"latency": 50, "jitter": 5}
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="nonsense")
    proxy.destroy_toxic("latency_downstream")
    assert proxy.toxics() == {}
    with proxy.down():
        assert api.get_proxy("p").enabled is False
    assert api.get_proxy("p").enabled is True
    assert api.reset()
    (populated,) = api.populate([{"name": "q", "upstream": "a:1", "listen": "127.0.0.1:0"}])
    assert populated.name == "q"
    assert b"version" in api.version()
    proxy.destroy()
    with pytest.raises(NotFound):
        proxy.destroy()


def test_half_a_close_is_passed_on_and_the_answer_comes_back(
    own: Server, upstream: Upstream
) -> None:
    with client(own.create(upstream.address)) as ours:
        ours.sendall(b"question")
        ours.shutdown(socket.SHUT_WR)
        theirs = upstream.accept()
        assert read_to_end(theirs) == b"question"
        theirs.sendall(b"answer")
        theirs.close()
        assert read_to_end(ours) == b"answer"


def test_an_upstream_that_refuses_resets_the_client_at_once(own: Server) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = own.create(f"127.0.0.1:{held.getsockname()[1]}")
        start = time.monotonic()
        # The reset may be there before the client's connect returns.
        with pytest.raises(ConnectionResetError), client(address) as ours:
            ours.recv(1)
        assert time.monotonic() - start < 0.5


def test_an_upstream_that_does_not_accept_resets_the_client_after_the_dial_timeout(
    own: Server, upstream: Upstream
) -> None:
    with socket.socket() as full, socket.socket() as filler:
        # A listener whose queue is full lets further dials hang, as a lost packet does.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filler.connect(full.getsockname())
        address = own.create(f"127.0.0.1:{full.getsockname()[1]}")
        with client(address) as ours:
            start = time.monotonic()
            with pytest.raises(ConnectionResetError):
                ours.recv(1)
            assert 0.9 < time.monotonic() - start < 2


def test_disabling_while_the_dial_hangs_answers_at_once(own: Server) -> None:
    with socket.socket() as full, socket.socket() as filler:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filler.connect(full.getsockname())
        with client(own.create(f"127.0.0.1:{full.getsockname()[1]}")) as ours:
            time_s = took_s(lambda: own.call("PATCH", "/proxies/p", {"enabled": False}))
            assert time_s < 0.5
            ours.setblocking(False)
            with suppress(ConnectionResetError):
                assert ours.recv(1) == b""


def test_reset_peer_resets_an_open_idle_connection_on_both_sides(
    own: Server, upstream: Upstream
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        own.toxic("reset_peer", timeout=0)
        for side in (ours, theirs):
            with pytest.raises(ConnectionResetError):
                side.recv(1)


def test_a_reset_of_one_side_reaches_the_other_as_a_reset(own: Server, upstream: Upstream) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with pytest.raises(ConnectionResetError):
            ours.recv(1)


def test_a_toxic_is_removed_at_once_while_the_client_does_not_read(
    own: Server, upstream: Upstream
) -> None:
    with client(own.create(upstream.address)):
        theirs = upstream.accept()
        own.toxic("latency", latency=50)
        theirs.setblocking(False)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                theirs.send(b"x" * 65536)
        path = "/proxies/p/toxics/latency_downstream"
        assert took_s(lambda: own.call("DELETE", path)) < 0.5


def test_a_client_that_does_not_read_holds_the_upstream_back(
    own: Server, upstream: Upstream
) -> None:
    with client(own.create(upstream.address)):
        theirs = upstream.accept()
        theirs.settimeout(1.5)
        with pytest.raises(TimeoutError):
            theirs.sendall(bytes(48 * 1024 * 1024))
        counters = own.process.control.counters()
        assert counters is not None
        assert counters["p"].bytes_downstream < 24 * 1024 * 1024


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "latency", "attributes": {"latncy": 5}}, "did you mean 'latency'"),
        ({"type": "latency", "attributes": {"latency": -5}}, "latency is -5"),
        ({"type": "latency", "toxicty": 0.5}, "did you mean 'toxicity'"),
        ({"type": "latency", "toxicity": 7}, "toxicity is 7"),
        ({"type": "slicer", "attributes": {"average_size": 0}}, "wanted at least 1"),
    ],
)
def test_what_toxiproxy_would_silently_ignore_is_refused(
    own: Server, body: object, message: str
) -> None:
    own.create("127.0.0.1:9")
    status, answer = own.call("POST", "/proxies/p/toxics", body)
    assert status == 400
    assert isinstance(answer, dict)
    assert message in answer["error"]
    assert own.process.control.proxies()["p"].toxics == ()


def test_counters_are_live(own: Server, upstream: Upstream) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        ours.sendall(b"abc")
        theirs.recv(3)
        theirs.sendall(b"defgh")
        ours.recv(5)
        status, answer = own.call("GET", "/gameday/counters")
        assert status == 200
        assert answer == {
            "p": {
                "connections_open": 1,
                "connections_total": 1,
                "bytes_upstream": 3,
                "bytes_downstream": 5,
                "refused_upstream": 0,
            }
        }


def test_the_port_of_a_disabled_proxy_is_given_to_nobody_else(own: Server) -> None:
    address = own.create("127.0.0.1:9")
    own.call("PATCH", "/proxies/p", {"enabled": False})
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(address)


def test_the_proxy_ends_with_its_stdin_and_prints_one_line() -> None:
    command = [sys.executable, "-P", "-m", "gameday.proxy", "--port", "0"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    line = json.loads(child.stdout.readline())
    assert (set(line), line["pid"]) == ({"port", "pid"}, child.pid)
    child.send_signal(2)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)
    child.stdin.close()
    assert child.wait(LIMIT_S) == 0
    assert child.stdout.read() == b""
    child.stdout.close()


def test_a_terminated_proxy_ends_in_order(tmp_path: Path) -> None:
    own = start_own_proxy(tmp_path / "proxy.log", seed=1)
    own._process.terminate()
    assert own._process.wait(LIMIT_S) == 0
    own.stop(LIMIT_S)
