"""No control call waits for a client or an upstream."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.proxy.conftest import Connect, Server, Took, Upstream

pytestmark = pytest.mark.live


def test_disabling_while_the_dial_hangs_answers_at_once(
    own: Server, client: Connect, took_s: Took
) -> None:
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


def test_a_toxic_is_removed_at_once_while_the_client_does_not_read(
    own: Server, upstream: Upstream, client: Connect, took_s: Took
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
