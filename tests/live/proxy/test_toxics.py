"""The toxics: their calls, and what each does to a connection."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.proxy.conftest import Connect, ReadToEnd, Server, Took, Upstream

pytestmark = pytest.mark.live

LIMIT_S = 5.0
TOXIC: dict[str, object] = {"type": "latency", "attributes": {"latency": 50}}


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


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_its_direction_only(
    server: Server, upstream: Upstream, stream: str, client: Connect, took_s: Took
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("latency", stream, latency=1000)
        slow, fast = ((ours, theirs), (theirs, ours))[:: 1 if stream == "upstream" else -1]
        for (sender, receiver), at_least, below in ((slow, 0.99, 3.0), (fast, 0.0, 0.8)):
            # It is on its way for some moments before the clock runs.
            sender.sendall(b"x")
            assert at_least <= took_s(lambda r=receiver: r.recv(1)) < below  # type: ignore[misc]
        server.call("DELETE", f"/proxies/p/toxics/latency_{stream}")
        slow[0].sendall(b"y")
        assert took_s(lambda: slow[1].recv(1)) < 0.8


def test_bandwidth_holds_its_rate(
    server: Server, upstream: Upstream, client: Connect, read_to_end: ReadToEnd, took_s: Took
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("bandwidth", rate=100)
        theirs.sendall(b"x" * 40_000)
        theirs.shutdown(socket.SHUT_WR)
        assert 0.3 < took_s(lambda: read_to_end(ours)) < 1.2


def test_bandwidth_zero_stalls_and_its_removal_delivers(
    server: Server, upstream: Upstream, client: Connect
) -> None:
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


def test_slow_close_delays_the_end_and_nothing_else(
    server: Server, upstream: Upstream, client: Connect, took_s: Took
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("slow_close", delay=1000)
        theirs.sendall(b"x")
        theirs.close()
        assert took_s(lambda: ours.recv(1)) < 0.5
        assert 0.5 < took_s(lambda: ours.recv(1)) < 2


def test_timeout_swallows_data_and_closes_in_time(
    server: Server, upstream: Upstream, client: Connect, read_to_end: ReadToEnd, took_s: Took
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("timeout", timeout=200)
        theirs.sendall(b"x")
        assert 0.15 < took_s(lambda: read_to_end(ours)) < 1


def test_removing_a_timeout_closes_the_connection_that_lost_bytes(
    server: Server, upstream: Upstream, client: Connect, read_to_end: ReadToEnd
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("timeout", timeout=0)
        theirs.sendall(b"x")
        server.call("DELETE", "/proxies/p/toxics/timeout_downstream")
        assert read_to_end(ours) == b""


def test_reset_peer_resets_a_new_connection(
    server: Server, upstream: Upstream, client: Connect
) -> None:
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


def test_a_slicer_cuts_data_and_loses_none(
    server: Server, upstream: Upstream, client: Connect
) -> None:
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


def test_limit_data_closes_after_its_bytes(
    server: Server, upstream: Upstream, client: Connect, read_to_end: ReadToEnd
) -> None:
    with client(server.create(upstream.address)) as ours:
        theirs = upstream.accept()
        server.toxic("limit_data", bytes=7)
        theirs.sendall(b"1234")
        assert ours.recv(4) == b"1234"
        theirs.sendall(b"56789")
        assert read_to_end(ours) == b"567"


def test_toxicity_zero_meets_no_connection(
    server: Server, upstream: Upstream, client: Connect, took_s: Took
) -> None:
    address = server.create(upstream.address)
    given = {"type": "latency", "toxicity": 0, "attributes": {"latency": 2000}}
    assert server.call("POST", "/proxies/p/toxics", given)[0] == 200
    with client(address) as ours:
        upstream.accept().sendall(b"x")
        assert took_s(lambda: ours.recv(1)) < 1


def test_reset_peer_resets_an_open_idle_connection_on_both_sides(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        own.toxic("reset_peer", timeout=0)
        for side in (ours, theirs):
            with pytest.raises(ConnectionResetError):
                side.recv(1)


def test_half_open_loses_one_direction_and_nobody_is_told(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        own.toxic("half_open", "upstream")
        ours.sendall(b"lost")
        theirs.sendall(b"still here")
        assert ours.recv(10) == b"still here"
        ours.shutdown(socket.SHUT_WR)
        theirs.settimeout(0.2)
        with pytest.raises(TimeoutError):
            theirs.recv(1)
        theirs.sendall(b"and here")
        assert ours.recv(8) == b"and here"


def test_a_receiver_of_a_half_open_connection_outlives_a_sender_that_is_gone(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        own.toxic("half_open", "upstream")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.close()
        theirs.settimeout(0.2)
        with pytest.raises(TimeoutError):
            theirs.recv(1)


def test_removing_half_open_resets_the_connections_that_met_it(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    address = own.create(upstream.address)
    with client(address) as ours:
        theirs = upstream.accept()
        own.toxic("half_open", "upstream")
        assert own.call("DELETE", "/proxies/p/toxics/half_open_upstream")[0] == 204
        for side in (ours, theirs):
            with pytest.raises(ConnectionResetError):
                side.recv(1)
    with client(address) as ours:
        ours.sendall(b"x")
        assert upstream.accept().recv(1) == b"x"
