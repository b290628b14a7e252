"""HTTP rules before a real HTTP server, through a client that keeps its connections."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.proxy.conftest import Server, Took

pytestmark = pytest.mark.live

LIMIT_S = 5.0
RULES = "/gameday/http/p/rules"


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent: in chunks if it came in chunks, else with its length."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer([self.path.encode()], chunked=False)

    def do_POST(self) -> None:
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        self._answer(self._chunks() if chunked else [self._body()], chunked=chunked)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _chunks(self) -> list[bytes]:
        chunks: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return chunks

    def _answer(self, chunks: list[bytes], *, chunked: bool) -> None:
        server = self.server
        assert isinstance(server, Upstream)
        server.paths.append(self.path)
        self.send_response(200)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(sum(map(len, chunks))))
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


class Upstream(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.paths: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that the proxy reset is no news."""


@pytest.fixture
def web() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def through(own: Server, web: Upstream) -> Iterator[http.client.HTTPConnection]:
    """A client's connection through an HTTP proxy before `web`."""
    upstream = f"127.0.0.1:{web.server_address[1]}"
    given = {"name": "p", "listen": "127.0.0.1:0", "upstream": upstream, "protocol": "http"}
    status, shape = own.call("POST", "/proxies", given)
    assert status == 201
    assert isinstance(shape, dict)
    assert shape["protocol"] == "http"
    port = int(shape["listen"].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    connection.connect()
    yield connection
    connection.close()


def rule(own: Server, **given: object) -> None:
    status, answer = own.call("POST", RULES, given)
    assert status == 200, answer


def met(own: Server, name: str) -> int:
    status, shown = own.call("GET", f"{RULES}/{name}")
    assert status == 200
    assert isinstance(shown, dict)
    return int(shown["met"])


def get(through: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    through.request("GET", path)
    answer = through.getresponse()
    return answer.status, answer.read()


def test_kept_connections_and_chunked_bodies_pass_unharmed(
    own: Server, through: http.client.HTTPConnection
) -> None:
    rule(own, action="abort", path="/nobody")
    sock = through.sock
    blocks = [bytes([number]) * (3000 * number + 1) for number in range(40)]
    for _ in range(3):
        through.request("POST", "/echo", body=iter(blocks), encode_chunked=True)
        got = through.getresponse().read()
        assert hashlib.sha256(got).digest() == hashlib.sha256(b"".join(blocks)).digest()
        assert get(through, "/plain") == (200, b"/plain")
    assert through.sock is sock
    status, counters = own.call("GET", "/gameday/counters")
    assert status == 200
    assert isinstance(counters, dict)
    assert counters["p"]["http"] == {
        "requests": 6,
        "connections_not_http": 0,
        "rules": {"abort": {"matched": 0, "met": 0}},
    }


def test_a_status_is_answered_on_the_kept_connection_and_not_by_the_upstream(
    own: Server, through: http.client.HTTPConnection, web: Upstream
) -> None:
    rule(own, action="status", status=503, body="no", method="GET", path="/sig*")
    sock = through.sock
    assert get(through, "/signals") == (503, b"no")
    assert get(through, "/other") == (200, b"/other")
    through.request("POST", "/signals", body=b"x")
    assert through.getresponse().read() == b"x"
    assert through.sock is sock
    assert web.paths == ["/other", "/signals"]
    assert met(own, "status") == 1


def test_an_abort_is_a_reset(own: Server, through: http.client.HTTPConnection) -> None:
    rule(own, action="abort", path="/b")
    assert get(through, "/a")[0] == 200
    with pytest.raises(ConnectionResetError):
        get(through, "/b")


def test_a_delay_is_as_long_as_asked_and_ends_with_its_rule(
    own: Server, through: http.client.HTTPConnection, took_s: Took
) -> None:
    rule(own, action="delay", delay=800, path="/slow")
    assert took_s(lambda: get(through, "/fast")) < 0.6
    assert 0.8 <= took_s(lambda: get(through, "/slow")) < 1.6
    assert own.call("DELETE", f"{RULES}/delay") == (204, "")
    rule(own, action="delay", delay=60_000)
    through.request("GET", "/held")
    give_up = time.monotonic() + LIMIT_S
    while not met(own, "delay"):
        assert time.monotonic() < give_up
    assert own.call("DELETE", RULES) == (204, "")
    assert through.getresponse().read() == b"/held"


def test_a_body_is_replaced_and_the_request_was_served(
    own: Server, through: http.client.HTTPConnection, web: Upstream
) -> None:
    rule(own, action="body", body="{broken", path="/x")
    assert get(through, "/x") == (200, b"{broken")
    assert get(through, "/y") == (200, b"/y")
    assert web.paths == ["/x", "/y"]


def test_a_share_of_the_requests_is_met_and_the_seed_replays_which(
    own: Server, through: http.client.HTTPConnection
) -> None:
    def statuses() -> list[int]:
        # A new name for the connection: the draws are those of the first connection of a proxy.
        own.call("DELETE", "/proxies/p")
        port = through.port
        upstream = f"{own.host}:{own.port}"
        given = {"name": "p", "listen": f"127.0.0.1:{port}", "upstream": upstream}
        assert own.call("POST", "/proxies", {**given, "protocol": "http"})[0] == 201
        rule(own, action="status", status=503, share=0.5)
        through.close()
        return [get(through, "/version")[0] for _ in range(30)]

    first = statuses()
    assert first == statuses()
    assert set(first) == {200, 503}
    assert 5 <= first.count(503) <= 25


def test_a_reset_removes_the_rules(own: Server, through: http.client.HTTPConnection) -> None:
    rule(own, action="abort")
    own.call("POST", "/reset")
    assert own.call("GET", RULES) == (200, [])
    assert get(through, "/a") == (200, b"/a")


def test_only_a_proxy_that_speaks_http_has_rules_and_it_can_learn_to(own: Server) -> None:
    own.create("127.0.0.1:9")
    status, answer = own.call("POST", RULES, {"action": "abort"})
    assert status == 400
    assert isinstance(answer, dict)
    assert "set its protocol to http" in answer["error"]
    assert own.call("PATCH", "/proxies/p", {"protocol": "http"})[0] == 200
    assert own.call("POST", RULES, {"action": "abort"})[0] == 200
    status, answer = own.call("PATCH", "/proxies/p", {"protocol": "smtp"})
    assert status == 400
    assert own.call("GET", "/gameday/http/q/rules")[0] == 404


def test_a_change_of_the_protocol_closes_the_connections_that_were_taken_for_the_other(
    own: Server, through: http.client.HTTPConnection
) -> None:
    assert get(through, "/a")[0] == 200
    assert own.call("PATCH", "/proxies/p", {"protocol": "http"})[0] == 200
    assert get(through, "/b")[0] == 200
    assert own.call("PATCH", "/proxies/p", {"protocol": "tcp"})[0] == 200
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        get(through, "/c")


def test_answers_of_rules_do_not_pile_up_before_a_client_that_does_not_read(
    own: Server, web: Upstream
) -> None:
    upstream = f"127.0.0.1:{web.server_address[1]}"
    given = {"name": "p", "listen": "127.0.0.1:0", "upstream": upstream, "protocol": "http"}
    status, shape = own.call("POST", "/proxies", given)
    assert status == 201
    assert isinstance(shape, dict)
    rule(own, action="status", status=200, body="x" * 100_000)
    host, _, port = shape["listen"].rpartition(":")
    process = psutil.Process(own.process.pid)
    before = process.memory_info().rss
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as ours:
        ours.sendall(b"GET / HTTP/1.1\r\n\r\n" * 4000)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert own.call("GET", "/version")[0] == 200
        assert process.memory_info().rss - before < 30e6
        got = 0
        while got < 4000 * 100_000:
            chunk = ours.recv(1 << 20)
            assert chunk, f"the answers end after {got} bytes"
            got += len(chunk)
    assert met(own, "status") == 4000
