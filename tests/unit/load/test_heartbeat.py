"""The heartbeat: how long a proxy server took to answer, and who does not answer at all."""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.edge.servers import OwnProxy, start_own_proxy
from gameday.errors import EnvironmentRefused
from gameday.load.heartbeat import Pulse, listen, silent_now
from gameday.load.noise_meter import HostNoiseMeter, read_pairs
from gameday.model.clock import MILLISECOND, SECOND

ANSWER = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 9\r\n\r\n"


class Heart:
    """A pulse, the server that it calls, and what it noted; time is what the test says."""

    def __init__(self) -> None:
        self.noted: list[tuple[int, int]] = []
        self.silent: list[str] = []
        self.poll = select.poll()
        self.listening: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.pulse = Pulse(
            self.address,
            self.poll,
            lambda at_ns, took_ns: self.noted.append((at_ns, took_ns)),
            self.silent.append,
        )
        self.connection: socket.socket | None = None

    def beat(self, now_ms: int) -> None:
        self.pulse.beat(now_ms * MILLISECOND)

    def called(self, now_ms: int) -> None:
        """Let the call arrive at the server."""
        if self.connection is None:
            self._turn(now_ms)
            assert self.listening is not None
            self.connection, _ = self.listening.accept()
        assert self.connection.recv(4096).startswith(b"HEAD /version HTTP/1.1\r\n")

    def answer(self, now_ms: int, data: bytes = ANSWER) -> None:
        assert self.connection is not None
        self.connection.sendall(data)
        self._turn(now_ms)

    def hang_up(self, now_ms: int) -> None:
        assert self.connection is not None
        self.connection.close()
        self.connection = None
        self._turn(now_ms)

    def die(self) -> None:
        assert self.listening is not None
        self.listening.close()
        self.listening = None

    def _turn(self, now_ms: int) -> None:
        assert self.poll.poll(5000)
        self.pulse.ready(now_ms * MILLISECOND)

    def close(self) -> None:
        self.pulse.close()
        for one in (self.connection, self.listening):
            if one is not None:
                one.close()


@pytest.fixture
def heart() -> Iterator[Heart]:
    made = Heart()
    yield made
    made.close()


def test_a_quick_answer_is_no_stall_whatever_it_says(heart: Heart) -> None:
    for now_ms in (100, 120, 140):
        heart.beat(now_ms)
        heart.called(now_ms)
        heart.answer(now_ms + 4)
    assert heart.noted == []


def test_a_slow_answer_is_noted_with_its_end_and_its_length(heart: Heart) -> None:
    heart.beat(100)
    heart.called(100)
    for now_ms in range(120, 400, 20):
        heart.beat(now_ms)  # one call at a time
    heart.answer(400, ANSWER[:20])
    heart.answer(401, ANSWER[20:])
    assert heart.noted == [(401 * MILLISECOND, 301 * MILLISECOND)]


def test_a_stall_that_goes_on_is_noted_while_it_lasts(heart: Heart) -> None:
    heart.beat(0)
    heart.beat(100)
    for now_ms in range(120, 1200, 20):
        heart.beat(now_ms)
    assert [took_ns // MILLISECOND for _, took_ns in heart.noted] == [500, 1000]
    heart.pulse.end(1300 * MILLISECOND)
    assert heart.noted[-1] == (1300 * MILLISECOND, 1200 * MILLISECOND)


def test_a_connection_that_ends_is_made_anew_and_its_call_counts_from_when_it_was_made_first(
    heart: Heart,
) -> None:
    heart.beat(100)
    heart.called(100)
    heart.hang_up(110)
    heart.beat(120)
    heart.called(120)
    heart.answer(130)
    assert heart.noted == [(130 * MILLISECOND, 30 * MILLISECOND)]


def test_a_server_that_is_gone_is_told_once_after_five_seconds(heart: Heart) -> None:
    heart.beat(100)
    heart.called(100)
    heart.die()
    heart.hang_up(110)
    for now_ms in range(120, 8000, 20):
        heart.beat(now_ms)
        if heart.poll.poll(0):
            heart.pulse.ready(now_ms * MILLISECOND)
        if now_ms < 5100:
            assert heart.silent == []
    assert heart.silent == [heart.address]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[OwnProxy]:
    server = start_own_proxy(tmp_path / "proxy.log", 1)
    yield server
    os.kill(server.pid, signal.SIGCONT)
    server.stop(3.0)


def test_a_stopped_proxy_is_seen_for_as_long_as_it_stood_still(
    tmp_path: Path, proxy: OwnProxy
) -> None:
    file = tmp_path / "heartbeats.bin"
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    over = threading.Event()
    addresses = [str(proxy.control.endpoint)]
    watching = threading.Thread(target=listen, args=(addresses, out, print, over))
    watching.start()
    stopped_ns = time.monotonic_ns()
    os.kill(proxy.pid, signal.SIGSTOP)
    until_ns = stopped_ns + 10 * SECOND
    while not read_pairs(file)[0].size:  # half a second, and it still stands
        assert time.monotonic_ns() < until_ns
        time.sleep(0.01)
    resumed_ns = time.monotonic_ns()
    os.kill(proxy.pid, signal.SIGCONT)
    while (took_ns := read_pairs(file)[1].max()) < resumed_ns - stopped_ns - 50 * MILLISECOND:
        assert time.monotonic_ns() < until_ns + 10 * SECOND
        time.sleep(0.01)
    over.set()
    watching.join(5)
    os.close(out)
    assert took_ns >= 450 * MILLISECOND


def test_who_is_dead_in_the_end_is_told_from_who_answers() -> None:
    answered = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        dead = f"127.0.0.1:{nobody.getsockname()[1]}"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        alive = f"127.0.0.1:{listening.getsockname()[1]}"

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(ANSWER)
                answered.set()
                connection.recv(4096)

        def clock_ns() -> int:
            """Stand still until the answer is there: a busy host makes nobody silent."""
            return (2 if answered.is_set() else 1) * SECOND

        answering = threading.Thread(target=answer)
        answering.start()
        assert silent_now([alive, dead], SECOND, clock_ns) == (dead,)
        answering.join(5)


def test_a_proxy_that_lives_answers(proxy: OwnProxy) -> None:
    assert silent_now([str(proxy.control.endpoint)]) == ()
    assert silent_now([]) == ()


def _watch(meter: HostNoiseMeter) -> None:
    until_ns = time.monotonic_ns() + 20 * SECOND
    while time.monotonic_ns() < until_ns:
        meter.check()
        time.sleep(0.05)


def test_a_dead_proxy_is_refused_and_not_measured(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    meter = HostNoiseMeter(tmp_path, tmp_path / "log")
    meter.start([address])
    with pytest.raises(EnvironmentRefused, match=f"{address} has not answered for 5 s"):
        _watch(meter)
    assert meter.stop(driver_cpu=0.1).proxy_ns.max() >= 5 * SECOND
