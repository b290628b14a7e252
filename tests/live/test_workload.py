"""The measuring half against a real Redis: what it records of kills and pauses that we know."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import numpy as np
import pytest

from gameday.load.load import LoadDriver, StreamPlan
from gameday.load.reader import LiveView, read_history
from gameday.model.operation import Outcome
from gameday.technologies.redis.service import find_redis_server

pytestmark = [pytest.mark.live, pytest.mark.alone]

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
PAUSE_NS = 100 * MILLISECOND
PAUSES = 9


@pytest.fixture
def redis(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Iterator[tuple[int, int]]:
    """The pid and the port of a Redis server of our own."""
    program = find_redis_server() or missing("redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(program), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen(
        [*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as server:
        try:
            _wait_for(lambda: _pong(port), "Redis to answer")
            yield server.pid, port
        finally:
            server.kill()


def _pong(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64) == b"+PONG\r\n"
    except OSError:
        return False


def _wait_for(holds: Callable[[], bool], what: str) -> None:
    until_ns = time.monotonic_ns() + 15 * SECOND
    while not holds():
        assert time.monotonic_ns() < until_ns, f"waited 15 s for {what}"
        time.sleep(0.005)


class _Collector(asyncio.Protocol):
    """Confirms every SET and keeps its value, the way a ledger would."""

    values: list[int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        *words, self._data = (self._data + data).split(b"\r\n")
        # A command is seven lines; what is not yet whole is kept for the next time.
        whole = len(words) // 7 * 7
        self._data = b"\r\n".join([*words[whole:], self._data])
        received = [int(word) for word in words[6:whole:7]]
        self.values.extend(received)
        self._transport.write(b"+OK\r\n" * len(received))


def test_every_operation_that_was_received_is_in_the_history_of_a_killed_driver(
    tmp_path: Path,
) -> None:
    received: list[int] = []
    ports: list[int] = []
    ready = Event()
    loop = asyncio.new_event_loop()

    def serve() -> None:
        kind = type("Collector", (_Collector,), {"values": received})
        server = loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0))
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        loop.run_forever()
        # What the kernel still holds of the killed driver is received too.
        loop.run_until_complete(asyncio.sleep(0.05))
        server.close()

    thread = Thread(target=serve)
    thread.start()
    assert ready.wait(5)
    try:
        driver = _start(tmp_path, ports[0], rate_per_s=3000.0)
        view = LiveView(tmp_path)
        _wait_for(lambda: view.operations >= 2000, "2000 operations")
        driver.kill()
        view.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
    rows = read_history(tmp_path).rows
    sent = rows[rows["sent_ns"] > 0]
    assert len(received) >= 2000
    assert set(received) <= set(sent["value"].tolist())
    assert rows["value"].tolist() == list(range(1, len(rows) + 1))
    assert set(rows[rows["outcome"] == Outcome.OK]["value"].tolist()) <= set(received)


def test_a_known_pause_is_measured_to_3_ms_and_never_too_short(
    tmp_path: Path, redis: tuple[int, int]
) -> None:
    pid, port = redis
    driver = _start(tmp_path, port, rate_per_s=1000.0)
    pauses: list[tuple[int, int]] = []
    try:
        for _ in range(PAUSES):
            time.sleep(0.15)
            os.kill(pid, signal.SIGSTOP)
            # The truth is what was really slept, which a busy host makes longer than asked.
            stopped_ns = time.monotonic_ns()
            time.sleep(PAUSE_NS / SECOND)
            pauses.append((stopped_ns, time.monotonic_ns()))
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.15)
        driver.stop(5 * SECOND)
    finally:
        os.kill(pid, signal.SIGCONT)
        driver.kill()
    rows = read_history(tmp_path).rows
    assert (rows["outcome"] == Outcome.OK).all()
    done_ns = np.sort(rows["done_ns"])
    errors = [_gap(done_ns, *pause) - (pause[1] - pause[0]) for pause in pauses]
    in_ms = [round(error / MILLISECOND, 2) for error in sorted(errors)]
    assert 0 <= np.median(errors) <= 3 * MILLISECOND, f"errors in ms: {in_ms}"


def _gap(done_ns: np.typing.NDArray[np.int64], from_ns: int, to_ns: int) -> int:
    """Return the longest time between two answers that overlaps the pause."""
    first = max(0, int(np.searchsorted(done_ns, from_ns)) - 1)
    last = int(np.searchsorted(done_ns, to_ns + 20 * MILLISECOND))
    return int(np.diff(done_ns[first : last + 1]).max())


def _start(folder: Path, port: int, *, rate_per_s: float) -> LoadDriver:
    plan = StreamPlan(
        name="probe-direct",
        client="redis-write",
        host="127.0.0.1",
        port=port,
        rate_per_s=rate_per_s,
        deadline_ns=SECOND,
    )
    driver = LoadDriver([plan], folder, "ab12", 20 * SECOND, folder / "driver.log")
    driver.start()
    driver.begin(time.monotonic_ns())
    return driver
