"""The proxies that `benchmarks.proxy` compares, and the servers behind them."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gameday.edge.servers import (
    ProxyControl,
    ProxyProcess,
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)
from gameday.host.waiting import free_ports

BULK_BYTES = 256 * 1024 * 1024
START_LIMIT_S = 10.0
VALUE = b"x" * 32
REQUEST = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
ANSWER = b"$32\r\n" + VALUE + b"\r\n"
HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
listen requests
  bind {requests}
  server upstream {to_requests}
listen bulk
  bind {bulk}
  server upstream {to_bulk}
"""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a contender listens for each of the two upstreams."""

    requests: Address
    bulk: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A proxy before both upstreams; `control` sets its toxics, if it has any."""

    pid: int
    path: Route
    control: ProxyControl | None = None


class Bulk(asyncio.Protocol):
    """Sends the bulk to whoever connects, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # The pump is called again when the buffer is empty, not only low.
        transport.set_write_buffer_limits(high=0)
        self.transport = transport
        self.rest = BULK_BYTES
        self.pump()

    def pump(self) -> None:
        block = bytes(1024 * 1024)
        while self.rest and not self.transport.get_write_buffer_size():
            self.rest -= len(block)
            self.transport.write(block)
        if not self.rest:
            # Not from within resume_writing: Python 3.11 would report the loss twice.
            asyncio.get_running_loop().call_soon(self.transport.close)

    def resume_writing(self) -> None:
        if self.rest:
            self.pump()


@contextmanager
def bulk_source() -> Iterator[Address]:
    """Run the source of the bulk in a thread of its own loop."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(Bulk, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server.sockets[0].getsockname()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


@contextmanager
def running(command: list[str], address: Address) -> Iterator[int]:
    """Run a server until the end of the block, which begins once it listens at `address`."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        give_up = time.monotonic() + START_LIMIT_S
        while True:
            try:
                connect(address).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > give_up:
                    raise SystemExit(f"{command[0]} does not listen at {address}") from None
                time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait(5)


@contextmanager
def redis() -> Iterator[Address]:
    """Run a Redis that has the value that is asked for."""
    address = ("127.0.0.1", free_ports(1)[0])
    command = ["redis-server", "--port", str(address[1]), "--bind", address[0], "--save", ""]
    with running(command, address):
        with connect(address) as connection:
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" + ANSWER)
            assert connection.recv(5) == b"+OK\r\n"
        yield address


def connect(address: Address) -> socket.socket:
    connection = socket.create_connection(address, timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def contest() -> Iterator[tuple[Route, dict[str, Contender]]]:
    """Start the upstreams, and before them one proxy of every contender that is here."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        direct = Route(
            requests=stack.enter_context(redis()), bulk=stack.enter_context(bulk_source())
        )
        starts: dict[str, Callable[[], ProxyProcess]] = {
            "gameday": lambda: start_own_proxy(logs / "own.log", 1),
            "on asyncio": lambda: start_own_proxy(logs / "plain.log", 1, "--loop=asyncio"),
        }
        server = find_toxiproxy_server()
        if server is not None:
            starts["toxiproxy"] = lambda: start_toxiproxy_server(server, logs / "real.log")
        contenders: dict[str, Contender] = {}
        for name, start in starts.items():
            process = start()
            stack.callback(process.stop, 5)
            listens = Route(
                requests=_proxied(process.control, "requests", direct.requests),
                bulk=_proxied(process.control, "bulk", direct.bulk),
            )
            contenders[name] = Contender(pid=process.pid, path=listens, control=process.control)
        if shutil.which("haproxy"):
            contenders["haproxy"] = stack.enter_context(haproxy(direct, logs / "haproxy.cfg"))
        yield direct, contenders


def _proxied(control: ProxyControl, name: str, upstream: Address) -> Address:
    listen = control.create(name, "127.0.0.1:0", f"{upstream[0]}:{upstream[1]}")
    host, _, port = listen.rpartition(":")
    return host, int(port)


@contextmanager
def haproxy(direct: Route, config: Path) -> Iterator[Contender]:
    """Run a haproxy that looks at nothing but TCP, with its defaults."""
    requests, bulk = (("127.0.0.1", port) for port in free_ports(2))
    where = {
        "requests": requests,
        "bulk": bulk,
        "to_requests": direct.requests,
        "to_bulk": direct.bulk,
    }
    addresses = {name: f"{host}:{port}" for name, (host, port) in where.items()}
    config.write_text(HAPROXY.format(**addresses))
    with running(["haproxy", "-db", "-f", str(config)], requests) as pid:
        yield Contender(pid=pid, path=Route(requests=requests, bulk=bulk))
