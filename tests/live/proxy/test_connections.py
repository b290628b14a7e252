"""Connections of gameday's own proxy: half-closes, resets and dials that fail."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.proxy.conftest import Connect, ReadToEnd, Server, Upstream

pytestmark = pytest.mark.live


def test_half_a_close_is_passed_on_and_the_answer_comes_back(
    own: Server, upstream: Upstream, client: Connect, read_to_end: ReadToEnd
) -> None:
    with client(own.create(upstream.address)) as ours:
        ours.sendall(b"question")
        ours.shutdown(socket.SHUT_WR)
        theirs = upstream.accept()
        assert read_to_end(theirs) == b"question"
        theirs.sendall(b"answer")
        theirs.close()
        assert read_to_end(ours) == b"answer"


def test_an_upstream_that_refuses_resets_the_client_at_once(own: Server, client: Connect) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = own.create(f"127.0.0.1:{held.getsockname()[1]}")
        start = time.monotonic()
        # The reset may be there before the client's connect returns.
        with pytest.raises(ConnectionResetError), client(address) as ours:
            ours.recv(1)
        assert time.monotonic() - start < 0.5


def test_an_upstream_that_does_not_accept_resets_the_client_after_the_dial_timeout(
    own: Server, upstream: Upstream, client: Connect
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


def test_a_reset_of_one_side_reaches_the_other_as_a_reset(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with pytest.raises(ConnectionResetError):
            ours.recv(1)


def test_a_client_that_does_not_read_holds_the_upstream_back(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    with client(own.create(upstream.address)):
        theirs = upstream.accept()
        theirs.settimeout(1.5)
        with pytest.raises(TimeoutError):
            theirs.sendall(bytes(48 * 1024 * 1024))
        counters = own.process.control.counters()
        assert counters is not None
        assert counters["p"].bytes_downstream < 24 * 1024 * 1024
