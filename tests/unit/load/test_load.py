import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from gameday.errors import InternalError
from gameday.host.child import Child
from gameday.load.driver import connections_allowed
from gameday.load.load import LoadDriver, StreamPlan
from gameday.load.messages import DriverSpec
from gameday.load.noise_meter import read_pairs
from gameday.load.reader import LiveView, read_history
from gameday.load.recorder import LATENESS
from gameday.model.operation import Outcome
from gameday.registry import client_of

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


class _Redis(asyncio.Protocol):
    """Confirms every command that arrives whole, which on loopback is every one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"+OK\r\n" * data.count(b"SET"))


@pytest.fixture
def redis_port() -> Iterator[int]:
    """The port of something that answers like Redis, on a thread of its own."""
    ports: list[int] = []
    ready = Event()
    loop = asyncio.new_event_loop()

    def serve() -> None:
        server = loop.run_until_complete(loop.create_server(_Redis, "127.0.0.1", 0))
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        loop.run_forever()
        server.close()

    thread = Thread(target=serve)
    thread.start()
    assert ready.wait(5)
    yield ports[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def drivers() -> Iterator[list[LoadDriver]]:
    """Load drivers that are gone after the test."""
    started: list[LoadDriver] = []
    yield started
    for driver in started:
        driver.kill()


def _driver(folder: Path, port: int, *rates: float, max_ns: int = 10 * SECOND) -> LoadDriver:
    streams = [
        StreamPlan(
            name=f"probe-{number}",
            client="redis-write",
            host="127.0.0.1",
            port=port,
            rate_per_s=rate,
            deadline_ns=200 * MILLISECOND,
        )
        for number, rate in enumerate(rates)
    ]
    return LoadDriver(streams, folder, "ab12", max_ns, folder / "driver.log")


def _wait_for(view: LiveView, operations: int) -> None:
    until_ns = time.monotonic_ns() + 10 * SECOND
    while view.operations < operations:
        assert time.monotonic_ns() < until_ns, f"{view.operations} of {operations} operations"
        time.sleep(0.005)


def test_a_spec_is_the_same_after_its_journey() -> None:
    plan = StreamPlan(
        name="publish",
        client="publish",
        host="::1",
        port=1,
        rate_per_s=0.5,
        deadline_ns=7,
    )
    spec = DriverSpec(
        run="ab",
        folder=Path("/x y"),
        capacity=9,
        streams=(plan, plan),
        clients={"publish": "module:object"},
        path=("/lib",),
    )
    assert DriverSpec.from_json(spec.to_json()) == spec


def test_every_operation_is_due_on_its_schedule_and_in_the_order_of_due(
    tmp_path: Path, redis_port: int, drivers: list[LoadDriver]
) -> None:
    driver = _driver(tmp_path, redis_port, 500, 70)
    drivers.append(driver)
    driver.start()
    start_ns = time.monotonic_ns() + 10 * MILLISECOND
    driver.begin(start_ns)
    view = LiveView(tmp_path)
    _wait_for(view, 100)
    view.close()
    driver.poll()
    report = driver.stop(5 * SECOND)
    history = read_history(tmp_path)
    rows = history.rows
    assert report.rows == report.offered == len(rows) >= 100
    assert (np.diff(rows["due_ns"]) >= 0).all()
    fast, slow = history.of("probe-0"), history.of("probe-1")
    assert fast["due_ns"].tolist() == [start_ns + 2 * MILLISECOND * i for i in range(len(fast))]
    assert slow["value"].tolist() == list(range(1, len(slow) + 1))
    assert abs(len(fast) / 500 - len(slow) / 70) < 2 / 70
    assert (rows["outcome"] == Outcome.OK).all()
    assert (rows["sent_ns"] >= rows["due_ns"]).all()
    assert (rows["done_ns"] > rows["sent_ns"]).all()
    assert 0 <= report.lateness_p50_ns <= report.lateness_p99_ns <= report.lateness_max_ns
    assert 0 < report.cpu_share < 1.5


def test_no_more_is_offered_than_was_allowed(
    tmp_path: Path, redis_port: int, drivers: list[LoadDriver]
) -> None:
    driver = _driver(tmp_path, redis_port, 1000, max_ns=49 * MILLISECOND)
    drivers.append(driver)
    driver.start()
    driver.begin(time.monotonic_ns() - SECOND)
    view = LiveView(tmp_path)
    _wait_for(view, 50)
    view.close()
    report = driver.stop(5 * SECOND)
    assert report.rows == len(read_history(tmp_path).rows) == 50
    assert report.offered >= 1000


def test_what_is_taken_up_late_is_kept_with_its_moment(
    tmp_path: Path, redis_port: int, drivers: list[LoadDriver]
) -> None:
    driver = _driver(tmp_path, redis_port, 100, max_ns=49 * MILLISECOND)
    drivers.append(driver)
    driver.start()
    # As if the driver had stood still for the whole second in which five operations came due.
    driver.begin(time.monotonic_ns() - SECOND)
    view = LiveView(tmp_path)
    _wait_for(view, 5)
    view.close()
    report = driver.stop(5 * SECOND)
    at_ns, late_ns = read_pairs(tmp_path / LATENESS)
    due_ns = read_history(tmp_path).rows["due_ns"]
    assert (at_ns - late_ns).tolist() == due_ns.tolist()
    assert late_ns.max() == report.lateness_max_ns > SECOND
    assert report.held == 0
    assert report.shortage == ""


def test_a_stream_may_have_as_many_connections_as_an_open_loop_needs_and_the_host_has() -> None:
    plan = StreamPlan(
        name="x", client="publish", host="", port=1, rate_per_s=200.0, deadline_ns=SECOND
    )
    assert 200 < plan.needs < 300
    assert replace(plan, rate_per_s=1000.0, deadline_ns=10 * SECOND).needs > 10_000
    assert connections_allowed(1 << 20, 3) > 10_000
    # The proxy needs two descriptors for each, and other streams need theirs.
    assert 3 * 2 * connections_allowed(1024, 3) < 1024
    assert connections_allowed(20, 3) == 1


def test_a_driver_that_never_began_ends_with_an_empty_history(
    tmp_path: Path, drivers: list[LoadDriver]
) -> None:
    driver = _driver(tmp_path, 1, 10)
    drivers.append(driver)
    driver.start()
    assert driver.stop(5 * SECOND).rows == 0
    assert len(read_history(tmp_path).rows) == 0


def test_a_refusing_server_is_recorded_and_not_an_error(
    tmp_path: Path, drivers: list[LoadDriver]
) -> None:
    driver = _driver(tmp_path, 1, 100)
    drivers.append(driver)
    driver.start()
    driver.begin(time.monotonic_ns())
    view = LiveView(tmp_path)
    _wait_for(view, 5)
    view.close()
    driver.stop(5 * SECOND)
    history = read_history(tmp_path)
    assert set(history.rows["outcome"]) == {Outcome.FAILED}
    assert history.errors == ("", "connect: Connection refused")


def test_a_dead_driver_is_noticed_with_the_end_of_its_log(
    tmp_path: Path, drivers: list[LoadDriver]
) -> None:
    driver = _driver(tmp_path, 1, 10)
    drivers.append(driver)
    driver.start()
    (tmp_path / "driver.log").write_text("its last words")
    os.kill(driver.pid, signal.SIGKILL)
    os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(InternalError, match=r"(?s)SIGKILL; the end of .*its last words"):
        driver.poll()
    with pytest.raises(InternalError, match="SIGKILL"):
        driver.stop(SECOND)
    driver.kill()


def test_a_driver_that_cannot_write_its_history_says_so_at_its_start(tmp_path: Path) -> None:
    driver = LoadDriver((), tmp_path / "missing", "ab", SECOND, tmp_path / "driver.log")
    with pytest.raises(InternalError, match="FileNotFoundError"):
        driver.start()


def test_an_unknown_client_is_named_with_those_there_are(tmp_path: Path) -> None:
    plan = StreamPlan(
        name="x", client="telnet", host="127.0.0.1", port=1, rate_per_s=1.0, deadline_ns=1
    )
    with pytest.raises(InternalError, match="no client 'telnet'; valid: http-ready, postgres-"):
        LoadDriver([plan], tmp_path, "ab", SECOND, tmp_path / "driver.log")


def test_a_driver_that_was_not_started_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="not started"):
        _driver(tmp_path, 1, 10).poll()


def test_load_ends_with_whoever_asked_for_it_and_not_by_ctrl_c_alone(
    tmp_path: Path, redis_port: int
) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from gameday.load.load import LoadDriver, StreamPlan\n"
        f"plan = StreamPlan(name='p', client='redis-write', host='127.0.0.1', port={redis_port},"
        " rate_per_s=200.0, deadline_ns=10**8)\n"
        "folder = Path(sys.argv[1])\n"
        "driver = LoadDriver([plan], folder, 'ab', 20 * 10**9, folder / 'log')\n"
        "driver.start(); driver.begin(time.monotonic_ns()); print(driver.pid, flush=True)\n"
        "time.sleep(20)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        driver_pid = int(parent.stdout.readline())
        assert os.getsid(driver_pid) == driver_pid, "Ctrl-C would reach it"
        os.kill(driver_pid, signal.SIGINT)
        view = LiveView(tmp_path)
        _wait_for(view, view.operations + 10)
        view.close()
        watch = os.pidfd_open(driver_pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait(5)
    try:
        assert select.select([watch], [], [], 5)[0], "the driver outlived its parent"
    finally:
        os.close(watch)
    assert not (tmp_path / "errors.jsonl").exists(), "it ended without finishing its history"
    assert set(read_history(tmp_path).rows["outcome"]) == {Outcome.OK}


def test_a_child_that_says_nothing_is_not_waited_for_longer_than_allowed(tmp_path: Path) -> None:
    child = Child("a mute child", ("-c", "import time; time.sleep(60)"), tmp_path / "log")
    try:
        with pytest.raises(InternalError, match=r"a mute child .* did not answer within 0\.1 s"):
            child.hear(SECOND // 10)
        assert not child.end(MILLISECOND)
    finally:
        child.kill()


def test_the_driver_imports_only_the_technologies_that_its_streams_need() -> None:
    code = (
        "import sys, gameday.load.driver\n"
        "from gameday.load.client import load_client\n"
        f"load_client({client_of('redis-write')!r})\n"
        "print(*sorted({name.split('.')[2] for name in sys.modules"
        " if name.startswith('gameday.technologies.')}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["redis"]
