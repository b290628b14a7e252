"""Nothing on this host is asked through a proxy that the caller's variables name."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gameday.edge.control import ProxyControl
from gameday.host.docker_engine import engine_client
from gameday.host.docker_presence import engine_problem
from gameday.http_reader import HttpReader
from gameday.technologies.app.ledger import RecordLedger
from gameday.technologies.app.status import read_status

STATUS = {"connected": True, "connections_lost": 2, "connections_restored": 1, "given_up": False}
ANSWERS = {
    "/version": {"version": "2.12.0", "ApiVersion": "1.44", "Version": "28"},
    "/v1.44/version": {"ApiVersion": "1.44", "Version": "28"},
    "/status": STATUS,
    "/record?after=0": {"entries": [], "total": 0},
}


class Server(ThreadingHTTPServer):
    """Answers what it knows, or whatever it is asked if it stands for a proxy."""

    def __init__(self, *, is_proxy: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.is_proxy = is_proxy
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        found = None if self.server.is_proxy else ANSWERS.get(self.path)
        body = json.dumps(found).encode() if found is not None else b"OK"
        self.send_response(502 if self.server.is_proxy else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def service() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


@pytest.fixture(params=["http://", "socks5://", "socks5h://"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The proxy of a company, in all variables, with certificates that are not there."""
    with serving(Server(is_proxy=True)) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            address = f"{request.param}127.0.0.1:{server.port}"
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(name, "/none/such")
        yield server


def test_a_service_is_asked_itself(service: Server, proxy: Server) -> None:
    assert read_status(HttpReader("127.0.0.1", service.port)).lost == 2
    ledger = RecordLedger(HttpReader("127.0.0.1", service.port), "run")
    try:
        assert len(ledger.final_read().value) == 0
    finally:
        ledger.close()
    assert proxy.asked == []


def test_the_proxy_of_an_edge_is_asked_itself(service: Server, proxy: Server) -> None:
    assert ProxyControl("127.0.0.1", service.port).version() == "2.12.0"
    assert proxy.asked == []


def test_a_docker_engine_is_asked_itself_from_the_first_call_on(
    service: Server, proxy: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{service.port}")
    assert engine_problem() is None
    client = engine_client(5)
    try:
        assert client.version()["Version"] == "28"
    finally:
        client.close()
    assert "/version" in service.asked
    assert proxy.asked == []
