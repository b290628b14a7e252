"""Proxies: created, changed, listed, deleted, reset and populated."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.proxy.conftest import Connect, Server, Upstream

pytestmark = pytest.mark.live

LIMIT_S = 5.0
PROXY: dict[str, object] = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}


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


def test_bytes_pass_both_ways_unchanged(
    server: Server, upstream: Upstream, client: Connect
) -> None:
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
    server: Server, upstream: Upstream, client: Connect
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


def test_enabling_again_keeps_the_port(server: Server, upstream: Upstream, client: Connect) -> None:
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
    server: Server, upstream: Upstream, client: Connect
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


def test_the_port_of_a_disabled_proxy_is_given_to_nobody_else(own: Server) -> None:
    address = own.create("127.0.0.1:9")
    own.call("PATCH", "/proxies/p", {"enabled": False})
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(address)
