"""No control call waits for a client that does not read or an upstream that does not accept."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from gameday.edge.servers import start_own_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.proxy.conftest import Connect, Server, Took, Upstream

pytestmark = pytest.mark.live

LIMIT_S = 5.0
AT_ONCE_S = 0.5
LATENCY = "/proxies/p/toxics/latency_downstream"

# Each on a proxy "p" with a latency toxic, in this order.
CALLS: list[tuple[str, str, object, int]] = [
    ("GET", "/proxies", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/gameday/counters", None, 200),
    ("POST", LATENCY, {"attributes": {"latency": 5}}, 200),
    ("POST", "/proxies/p/toxics", {"type": "slicer", "attributes": {"average_size": 9}}, 200),
    ("POST", "/proxies/p/toxics", {"type": "half_open", "stream": "upstream"}, 200),
    ("DELETE", LATENCY, None, 204),
    ("POST", "/reset", None, 204),
    ("PATCH", "/proxies/p", {"upstream": "127.0.0.1:9"}, 200),
    ("PATCH", "/proxies/p", {"listen": "127.0.0.1:0"}, 200),
    ("POST", "/populate", [{"name": "p", "upstream": "127.0.0.1:10"}], 201),
    ("PATCH", "/proxies/p", {"enabled": False}, 200),
    ("PATCH", "/proxies/p", {"enabled": True}, 200),
    ("DELETE", "/proxies/p", None, 204),
]


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a listener whose queue is full: a dial hangs, as with lost packets."""
    with socket.socket() as full, socket.socket() as filler:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filler.connect(full.getsockname())
        yield f"127.0.0.1:{full.getsockname()[1]}"


def fill(theirs: socket.socket) -> None:
    """Send until nothing goes any more: the client's buffers and the proxy's are full."""
    theirs.setblocking(False)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.15:
        with suppress(BlockingIOError):
            theirs.send(bytes(1024 * 1024))
            quiet_since = time.monotonic()


def test_no_call_waits_while_dials_hang(
    own: Server, deaf: str, client: Connect, took_s: Took
) -> None:
    address = own.create(deaf)
    own.toxic("latency", latency=50)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(client(address))
        for method, path, body, wanted in CALLS:
            got: list[int] = []
            call = (method, path, body)
            seconds = took_s(lambda c=call, g=got: g.append(own.call(*c)[0]))  # type: ignore[misc]
            assert got == [wanted], call
            assert seconds < AT_ONCE_S, call


def test_no_call_waits_while_a_client_does_not_read(
    own: Server, upstream: Upstream, client: Connect, took_s: Took
) -> None:
    address = own.create(upstream.address)
    own.toxic("latency", latency=50)
    with client(address):
        fill(upstream.accept())
        for method, path, body, wanted in CALLS:
            got: list[int] = []
            call = (method, path, body)
            seconds = took_s(lambda c=call, g=got: g.append(own.call(*c)[0]))  # type: ignore[misc]
            assert got == [wanted], call
            assert seconds < AT_ONCE_S, call


def test_disabling_while_the_dial_hangs_ends_the_client(
    own: Server, deaf: str, client: Connect
) -> None:
    with client(own.create(deaf)) as ours:
        assert own.call("PATCH", "/proxies/p", {"enabled": False})[0] == 200
        ours.setblocking(False)
        with suppress(ConnectionResetError):
            assert ours.recv(1) == b""


def test_a_control_client_that_stops_in_the_middle_holds_up_nobody(
    own: Server, client: Connect, took_s: Took
) -> None:
    with client((own.host, own.port)) as silent:
        silent.sendall(b"POST /proxies HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        assert took_s(lambda: own.call("GET", "/proxies")) < AT_ONCE_S


def test_a_slicer_of_single_bytes_holds_up_no_call(
    own: Server, upstream: Upstream, client: Connect, took_s: Took
) -> None:
    address = own.create(upstream.address)
    own.toxic("slicer", "upstream", average_size=1)
    with client(address) as ours:
        theirs = upstream.accept()
        sender = threading.Thread(target=ours.sendall, args=(bytes(500_000),))
        sender.start()
        slowest = max(took_s(lambda: own.call("GET", "/version")) for _ in range(20))
        got = 0
        while got < 500_000:
            got += len(theirs.recv(1 << 20))
        sender.join(LIMIT_S)
    assert slowest < AT_ONCE_S


def test_the_process_ends_while_dials_hang_and_clients_do_not_read(
    tmp_path: Path, deaf: str, upstream: Upstream, client: Connect, took_s: Took
) -> None:
    own = start_own_proxy(tmp_path / "proxy.log", seed=1)
    addresses = [
        ("127.0.0.1", int(own.control.create(name, "127.0.0.1:0", behind).rpartition(":")[2]))
        for name, behind in (("p", upstream.address), ("q", deaf))
    ]
    try:
        with client(addresses[0]), client(addresses[1]):
            fill(upstream.accept())
            assert took_s(lambda: own.stop(LIMIT_S)) < 2 * AT_ONCE_S
    finally:
        own.stop(LIMIT_S)
