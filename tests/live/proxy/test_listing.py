"""What came from either side of each connection, and when, whatever toxics did with it."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, cast

import pytest

from gameday.api.environment import Endpoint
from gameday.api.listing import ListedConnection
from gameday.edge.connections import SocketConnection
from gameday.model.clock import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.proxy.conftest import Connect, Server, Upstream

pytestmark = pytest.mark.live

LIMIT_S = 5.0


def listed(own: Server) -> dict[str, list[object]]:
    status, answer = own.call("GET", "/gameday/connections/p")
    assert status == 200
    return cast("dict[str, list[object]]", answer)


def only(own: Server) -> ListedConnection:
    read = own.process.control.connections("p")
    assert read is not None
    (one,) = read
    return one


def once(own: Server, holds: Callable[[ListedConnection], bool]) -> ListedConnection:
    """Wait until the only connection is as wanted, and return it."""
    give_up = time.monotonic() + LIMIT_S
    while not holds(only(own)):
        assert time.monotonic() < give_up, only(own)
    return only(own)


def test_a_connection_is_listed_by_its_client_with_what_came_from_either_side(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    address = own.create(upstream.address)
    assert listed(own) == {"open": [], "over": []}
    with client(address) as ours:
        theirs = upstream.accept()
        before_ns = time.monotonic_ns()
        ours.sendall(b"abc")
        theirs.recv(3)
        theirs.sendall(b"defgh")
        ours.recv(5)
        after_ns = time.monotonic_ns()
        one = only(own)
        host, port = ours.getsockname()
        assert (one.number, one.client) == (1, f"{host}:{port}")
        assert (one.upstream.bytes, one.downstream.bytes) == (3, 5)
        assert one.upstream.last_ns is not None
        assert one.downstream.last_ns is not None
        assert before_ns < one.upstream.last_ns < one.downstream.last_ns < after_ns
        assert (one.upstream.ended_ns, one.downstream.ended_ns) == (None, None)


def test_the_last_bytes_are_those_that_are_timed(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        ours.sendall(b"abc")
        theirs.recv(3)
        between_ns = time.monotonic_ns()
        ours.sendall(b"de")
        theirs.recv(2)
        one = only(own)
        assert one.upstream.bytes == 5
        assert one.upstream.last_ns is not None
        assert one.upstream.last_ns > between_ns


def test_a_line_of_the_harness_finds_itself_by_where_it_comes_from(
    own: Server, upstream: Upstream
) -> None:
    host, port = own.create(upstream.address)
    line = SocketConnection(Endpoint(host=host, port=port), SECOND)
    try:
        upstream.accept()
        assert only(own).client == str(line.origin)
    finally:
        line.close()


def test_nothing_came_of_a_connection_on_which_nothing_was_said(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)):
        upstream.accept()
        one = only(own)
        assert one.upstream == one.downstream
        assert (one.upstream.bytes, one.upstream.last_ns, one.upstream.ended_ns) == (0, None, None)


@pytest.mark.parametrize("kind", ["latency", "timeout", "half_open", "bandwidth"])
@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_what_a_toxic_holds_or_loses_has_come(
    own: Server, upstream: Upstream, client: Connect, kind: str, stream: str
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        attributes = {"latency": {"latency": 60_000}, "bandwidth": {"rate": 0}}.get(kind, {})
        own.toxic(kind, stream, **attributes)
        (ours if stream == "upstream" else theirs).sendall(b"abc")
        one = once(own, lambda one: one.upstream.bytes + one.downstream.bytes > 0)
        came = one.upstream if stream == "upstream" else one.downstream
        assert came.bytes == 3
        assert came.last_ns is not None


def test_each_side_ends_for_itself_when_it_ends_and_not_when_that_is_passed_on(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        own.toxic("slow_close", "upstream", delay=200)
        ours.shutdown(socket.SHUT_WR)
        one = once(own, lambda one: one.upstream.ended_ns is not None)
        assert one.downstream.ended_ns is None
        assert theirs.recv(1) == b""
        theirs.close()
        assert ours.recv(1) == b""
    over = once(own, lambda one: one.downstream.ended_ns is not None)
    assert over.upstream.ended_ns == one.upstream.ended_ns
    assert over.upstream.ended_ns is not None
    assert over.downstream.ended_ns is not None
    assert 200 * MILLISECOND <= over.downstream.ended_ns - over.upstream.ended_ns < LIMIT_S * SECOND


def test_a_reset_is_an_end_too(own: Server, upstream: Upstream, client: Connect) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        own.toxic("half_open", "downstream")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        one = once(own, lambda one: one.downstream.ended_ns is not None)
        assert one.upstream.ended_ns is None
        ours.close()


def test_what_the_proxy_itself_closes_has_been_ended_by_neither_side(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        upstream.accept()
        own.call("POST", "/proxies/p", {"enabled": False})
        assert ours.recv(1) == b""
        give_up = time.monotonic() + LIMIT_S
        while not listed(own)["over"]:
            assert time.monotonic() < give_up
        over = only(own)
        assert (over.upstream.ended_ns, over.downstream.ended_ns) == (None, None)


def test_a_connection_leaves_the_open_ones_when_it_is_over_and_is_kept_as_it_was(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    address = own.create(upstream.address)
    with client(address) as ours:
        theirs = upstream.accept()
        ours.sendall(b"abc")
        theirs.recv(3)
        assert [len(some) for some in listed(own).values()] == [1, 0]
    assert theirs.recv(1) == b""
    theirs.close()
    give_up = time.monotonic() + LIMIT_S
    while listed(own)["open"]:
        assert time.monotonic() < give_up
    over = only(own)
    assert (over.number, over.upstream.bytes) == (1, 3)
    assert over.upstream.ended_ns is not None
    with client(address):
        upstream.accept()
        assert [len(some) for some in listed(own).values()] == [1, 1]


def test_a_server_without_the_list_is_told_from_an_empty_list(
    server: Server, upstream: Upstream
) -> None:
    server.create(upstream.address)
    is_ours = server.process.control.version().endswith("gameday")
    assert server.process.control.connections("p") == (() if is_ours else None)
