"""Live counters, as JSON and for Prometheus."""

from __future__ import annotations

import http.client
import subprocess
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from gameday.edge.control import ProxyControl
from gameday.edge.servers import find_toxiproxy_server
from gameday.host.waiting import free_ports
from gameday.model.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.proxy.conftest import Connect, Server, Upstream

pytestmark = pytest.mark.live

LIMIT_S = 5.0


def scraped(host: str, port: int) -> dict[str, str]:
    """Read /metrics: each series of Toxiproxy's and its value."""
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    assert answer.status == 200
    kind = answer.headers["Content-Type"]
    assert kind.startswith("text/plain; version=0.0.4; charset=utf-8")
    samples = (line.rpartition(" ") for line in text.splitlines() if line.startswith("toxiproxy"))
    return {series: value for series, _, value in samples}


def counted(own: Server, name: str = "p") -> dict[str, object]:
    status, answer = own.call("GET", "/gameday/counters")
    assert status == 200
    assert isinstance(answer, dict)
    proxy = answer[name]
    assert isinstance(proxy, dict)
    return proxy


def test_counters_are_live(own: Server, upstream: Upstream, client: Connect) -> None:
    with client(own.create(upstream.address)) as ours:
        theirs = upstream.accept()
        ours.sendall(b"abc")
        theirs.recv(3)
        theirs.sendall(b"defgh")
        ours.recv(5)
        assert counted(own) == {
            "connections_open": 1,
            "connections_total": 1,
            "bytes_upstream": 3,
            "bytes_downstream": 5,
            "refused_upstream": 0,
            "toxics": {},
        }


def test_a_toxic_counts_what_met_it_and_its_count_outlives_it(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    address = own.create(upstream.address)
    with client(address) as ours:
        theirs = upstream.accept()
        own.toxic("latency", latency=20)
        own.toxic("half_open", "upstream")
        theirs.sendall(b"1234567")
        assert ours.recv(7) == b"1234567"
        ours.sendall(b"xyz")
        # What came after it is answered: the lost bytes have been there.
        theirs.sendall(b"8")
        ours.recv(1)
    expected = {
        "latency_downstream": {"connections": 1, "bytes_delayed": 8, "bytes_dropped": 0},
        "half_open_upstream": {"connections": 1, "bytes_delayed": 0, "bytes_dropped": 3},
    }
    assert counted(own)["toxics"] == expected
    own.call("POST", "/reset")
    assert counted(own)["toxics"] == expected


def test_a_toxic_that_no_connection_met_counts_none(own: Server, upstream: Upstream) -> None:
    own.create(upstream.address)
    own.toxic("latency", latency=20)
    none = {"connections": 0, "bytes_delayed": 0, "bytes_dropped": 0}
    assert counted(own)["toxics"] == {"latency_downstream": none}


def test_metrics_count_while_the_connection_is_open(
    own: Server, upstream: Upstream, client: Connect
) -> None:
    address = own.create(upstream.address)
    with client(address) as ours:
        theirs = upstream.accept()
        own.toxic("half_open", "upstream")
        ours.sendall(b"abc")
        theirs.sendall(b"defgh")
        assert ours.recv(5) == b"defgh"
        labels = f'listener="{address[0]}:{address[1]}",proxy="p",upstream="{upstream.address}"'
        names = [f"toxiproxy_proxy_{way}_bytes_total" for way in ("received", "sent")]
        assert scraped(own.host, own.port) == {
            f'{names[0]}{{direction="downstream",{labels}}}': "5",
            f'{names[0]}{{direction="upstream",{labels}}}': "3",
            f'{names[1]}{{direction="downstream",{labels}}}': "5",
            f'{names[1]}{{direction="upstream",{labels}}}': "0",
        }


@pytest.fixture
def metered_toxiproxy(missing: Callable[[str], NoReturn]) -> Iterator[tuple[str, int]]:
    """The real server with the flag without which it has no /metrics."""
    path = find_toxiproxy_server() or missing("toxiproxy-server on PATH")
    (port,) = free_ports(1)
    command = [str(path), "-host", "127.0.0.1", "-port", str(port), "-proxy-metrics"]
    # It writes its log to stdout.
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield "127.0.0.1", port
    finally:
        child.terminate()
        child.wait(LIMIT_S)


def test_a_closed_connection_gives_the_metrics_of_toxiproxy_to_the_letter(
    own: Server,
    upstream: Upstream,
    client: Connect,
    metered_toxiproxy: tuple[str, int],
) -> None:
    real = ProxyControl(*metered_toxiproxy, toxiproxy=True)
    real.wait_until_up(time.monotonic_ns() + 5 * SECOND)
    seen: list[dict[str, str]] = []
    for control, (host, port) in (
        (own.process.control, (own.host, own.port)),
        (real, metered_toxiproxy),
    ):
        listen = control.create("p", "127.0.0.1:0", upstream.address)
        with client(("127.0.0.1", int(listen.rpartition(":")[2]))) as ours:
            theirs = upstream.accept()
            ours.sendall(b"abc")
            theirs.recv(3)
            theirs.sendall(b"defgh")
            ours.recv(5)
        give_up = time.monotonic() + LIMIT_S
        # Toxiproxy counts a connection when it is over, and does not say when that is.
        while len(metrics := scraped(host, port)) < 4 and time.monotonic() < give_up:
            time.sleep(0.01)
        listener = f'listener="{listen}"'
        seen.append({series.replace(listener, ""): value for series, value in metrics.items()})
    assert seen[0] == seen[1]
