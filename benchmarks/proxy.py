"""gameday's own proxy beside the real Toxiproxy and haproxy, in one interleaved run on loopback.

    python -m benchmarks.proxy [--rounds N] [--blackhole SECONDS]

Each round measures every contender in turn, so that a change of the host's load meets them all.
A figure is the median of its rounds. `direct` is the same client without a proxy. Requests are
those of redis-benchmark to a redis-server; a round trip is that of one such request, 1000 times a
second. What a delay is over by is counted from its length and the undelayed round trip of the same
proxy in the same round, and its quantiles are those of all rounds together.

Below are the goals, each with a value, the quartiles of its noise and what follows: met, missed, or
that this run cannot tell, because the quartiles lie on both sides of the goal or, for a latency,
because the path without a proxy is itself too unsteady.

The last row of figures is how long a new connection takes to be answered once the upstream is back
from a blackhole, during which a client opened one every 0.5 s. For that the benchmark starts itself
again in a network namespace of its own, where iptables drops every packet to the upstream. The
namespace is gone with its processes; nothing outside of it is touched.
"""

import argparse
import asyncio
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from benchmarks.proxy_goals import (
    Figures,
    Round,
    Rounds,
    quantile,
    recovery_verdict,
    summed_up,
    verdicts,
)

from gameday.environment.proxies import (
    ProxyControl,
    ProxyProcess,
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)
from gameday.environment.waiting import free_ports

BULK_BYTES = 256 * 1024 * 1024
REQUESTS = {1: 5_000, 16: 25_000}
"""How many are sent over that many connections."""
PACED_RATE = 1000
PACED_S = 1.0
DELAYS_MS = (5, 20, 50)
DELAY_SAMPLES = 200
UNDELAYED_SAMPLES = 15
VALUE = b"x" * 32
REQUEST = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
ANSWER = b"$32\r\n" + VALUE + b"\r\n"
NEW_CONNECTION_S = 0.5
START_LIMIT_S = 10.0
RECOVERY_LIMIT_S = 25.0

NEEDED = ("redis-server", "redis-benchmark")
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


def bulk_mb_s(address: Address) -> float:
    buffer = bytearray(1024 * 1024)
    with connect(address) as connection:
        start = time.perf_counter()
        total = 0
        while count := connection.recv_into(buffer):
            total += count
        took = time.perf_counter() - start
    assert total == BULK_BYTES, f"{total} bytes came of {BULK_BYTES}"
    return total / took / 1e6


def requests_s(address: Address, connections: int) -> float:
    """Let redis-benchmark ask, each connection again as soon as it is answered."""
    number = REQUESTS[connections]
    command = ["redis-benchmark", "-h", address[0], "-p", str(address[1]), "--csv"]
    command += ["-c", str(connections), "-n", str(number), "GET", "k"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return float(next(csv.DictReader(done.stdout.splitlines()))["rps"])


def round_trips_us(address: Address, count: int, period_s: float) -> list[float]:
    """Time one round trip every `period_s`, each from when it was due."""
    trips: list[float] = []
    with connect(address) as connection:
        start = time.perf_counter()
        for number in range(count):
            due = start + number * period_s
            while (early := due - time.perf_counter()) > 0:
                if early > 0.0003:
                    time.sleep(early - 0.0002)
            connection.sendall(REQUEST)
            got = 0
            while got < len(ANSWER):
                got += len(connection.recv(len(ANSWER) - got))
            trips.append((time.perf_counter() - due) * 1e6)
    return trips


def measure(path: Route, pid: int | None = None) -> Figures:
    """Measure a path; `pid` is the proxy on it, whose CPU time is charged."""
    paced = round_trips_us(path.requests, int(PACED_RATE * PACED_S), 1 / PACED_RATE)
    figures = {
        "round trip p50, us": quantile(paced, 0.5),
        "round trip p99, us": quantile(paced, 0.99),
    }
    before = cpu_s(pid)
    figures["bulk MB/s"] = bulk_mb_s(path.bulk)
    bulk_cpu_s = cpu_s(pid) - before
    figures["1 connection, requests/s"] = requests_s(path.requests, 1)
    before = cpu_s(pid)
    figures["16 connections, requests/s"] = requests_s(path.requests, 16)
    if pid is not None:
        # Of these figures alone a busy host changes little.
        figures["CPU for 1 GB, ms"] = bulk_cpu_s * 1000 / (BULK_BYTES / 1e9)
        figures["CPU for 1 000 requests, ms"] = (cpu_s(pid) - before) * 1e6 / REQUESTS[16]
    return figures


def cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def measure_delay(control: ProxyControl, address: Address, ms: int, count: int) -> list[float]:
    """Give by how much each round trip was later than the delay makes it."""
    # At the same pace: a processor that had time to sleep takes longer to answer.
    period_s = ms * 1.2 / 1000 + 0.002
    plain_us = median(round_trips_us(address, UNDELAYED_SAMPLES, period_s))
    toxic = control.add_latency("requests", "downstream", ms, 0)
    try:
        trips = round_trips_us(address, count, period_s)
    finally:
        control.remove_toxic("requests", toxic)
    return [trip - ms * 1000 - plain_us for trip in trips]


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


def run(rounds: int) -> Rounds:
    """Return all rounds by contender."""
    seen: Rounds = {}
    samples = -(-DELAY_SAMPLES // rounds)
    with contest() as (direct, contenders):
        for number in range(rounds):
            seen.setdefault("direct", []).append(Round(measure(direct)))
            # The order alternates: who is measured first after `direct` has no advantage.
            for name in list(contenders)[:: 1 if number % 2 else -1]:
                contender = contenders[name]
                one = Round(measure(contender.path, contender.pid))
                if contender.control is not None:
                    for ms in DELAYS_MS:
                        one.over_us[ms] = measure_delay(
                            contender.control, contender.path.requests, ms, samples
                        )
                seen.setdefault(name, []).append(one)
    for name, all_rounds in seen.items():
        for one, plain in zip(all_rounds, seen["direct"], strict=True):
            for share in ("p50", "p99") if name != "direct" else ():
                trip = f"round trip {share}, us"
                one.figures[f"added latency {share}, us"] = one.figures[trip] - plain.figures[trip]
    return seen


def blackhole(seconds: float) -> dict[str, float]:
    """Return by contender how long it takes to recover from `seconds` without an upstream."""
    # Here is the same program in a network of its own; another user is root in one of his own.
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    inside = [sys.executable, "-m", "benchmarks.proxy", "--inside", f"{seconds:g}"]
    try:
        done = subprocess.run(
            ["unshare", "--net", *rights, "--", *inside],
            cwd=Path(__file__).resolve().parent.parent,
            capture_output=True,
            text=True,
            timeout=seconds + RECOVERY_LIMIT_S + 20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said: object = getattr(error, "stderr", None) or error
        print(f"no blackhole, for want of unshare, ip or iptables: {str(said).strip()}")
        return {}
    recovered: dict[str, float] = json.loads(done.stdout)
    return recovered


def blackhole_inside(seconds: float) -> dict[str, float]:
    """Drop every packet to the upstream for `seconds`, in the network that is only ours."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=5)
    with contest() as (direct, contenders):
        rule = ["INPUT", "-p", "tcp", "--dport", str(direct.requests[1]), "-j", "DROP"]
        paths = {name: each.path.requests for name, each in contenders.items()}
        paths["direct"] = direct.requests
        return asyncio.run(_recoveries(paths, seconds, rule))


async def _recoveries(
    paths: dict[str, Address], seconds: float, rule: list[str]
) -> dict[str, float]:
    tasks: list[asyncio.Task[None]] = []
    answered: dict[str, float] = {}
    healed = 0.0

    async def connection(name: str, address: Address, opened: float) -> None:
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(REQUEST)
            await reader.readexactly(len(ANSWER))
        finally:
            writer.close()
        if healed and opened >= healed:
            answered.setdefault(name, time.monotonic() - healed)

    async def open_until(done: Callable[[], bool]) -> None:
        while not done():
            now = time.monotonic()
            for name, address in paths.items():
                tasks.append(asyncio.create_task(connection(name, address, now)))
            await asyncio.sleep(NEW_CONNECTION_S)

    subprocess.run(["iptables", "-A", *rule], check=True, timeout=5)
    start = time.monotonic()
    await open_until(lambda: time.monotonic() - start >= seconds)
    subprocess.run(["iptables", "-D", *rule], check=True, timeout=5)
    healed = time.monotonic()
    give_up = healed + RECOVERY_LIMIT_S
    await open_until(lambda: len(answered) == len(paths) or time.monotonic() > give_up)
    for task in tasks:
        task.cancel()
    # Most of them were reset or are cancelled: that is what a blackhole does.
    await asyncio.gather(*tasks, return_exceptions=True)
    return {name: answered.get(name, RECOVERY_LIMIT_S) for name in paths}


def table(results: dict[str, Figures]) -> str:
    rows = [["", *results]]
    for figure in results["gameday"]:
        digits = 2 if figure.endswith(", s") else 0
        row = [f"{all_[figure]:,.{digits}f}" if figure in all_ else "" for all_ in results.values()]
        rows.append([figure, *row])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 21), metavar="1..20")
    parser.add_argument(
        "--blackhole", type=float, default=20, metavar="SECONDS", help="0 leaves it out"
    )
    parser.add_argument("--inside", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        print(json.dumps(blackhole_inside(options.inside)))
        return
    absent = [program for program in NEEDED if shutil.which(program) is None]
    if absent:
        parser.error(f"not on PATH: {', '.join(absent)}")
    seen = run(options.rounds)
    recovery = f"recovery after a {options.blackhole:g} s blackhole, s"
    results = {name: summed_up(rounds) for name, rounds in seen.items()}
    if options.blackhole:
        for name, recovery_s in blackhole(options.blackhole).items():
            results[name][recovery] = recovery_s
    print(table(results))
    print("goals, with the quartiles of their noise:")
    print("\n".join(verdicts(seen)))
    if recovery in results["gameday"]:
        print(recovery_verdict(results["gameday"][recovery], results["direct"][recovery]))


if __name__ == "__main__":
    main()
