"""The relay and the listener against a real Redis that dies, freezes and forgets."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from redis import Redis

pytestmark = [pytest.mark.live, pytest.mark.alone]

TARGETS = Path(__file__).parents[2] / "targets"
PATIENCE_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a fact, with a bound."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if true():
                return
        time.sleep(0.02)
    pytest.fail(f"not within {PATIENCE_S:g} s: {what}")


@dataclass(kw_only=True)
class RedisServer:
    program: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self.folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", *options],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.wait()

    def forget(self) -> None:
        shutil.rmtree(self.folder)

    def client(self) -> Redis:
        client = Redis(port=self.port)
        until(lambda: answers(client), "Redis answers")
        return client


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except Exception as error:
        raise OSError from error


@dataclass(kw_only=True)
class App:
    name: str
    folder: Path
    redis_port: int
    env: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"apps.{self.name}"],
            env={
                **os.environ,
                "PYTHONPATH": str(TARGETS),
                "HOST": "127.0.0.1",
                "PORT": str(self.port),
                "DATA_DIR": str(self.folder),
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(self.redis_port),
                "REDIS_RECONNECT_BASE_DELAY_MS": "200",
                **self.env,
            },
            text=True,
            stderr=subprocess.PIPE if self.env.get("EXPECT_EXIT") else None,
        )

    def get(self, path: str) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def status(self, name: str) -> object:
        return self.get("/status")[1][name]

    def wait_ready(self) -> None:
        until(lambda: self.get("/ready")[0] == 200, f"{self.name} is ready")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)


@dataclass(kw_only=True)
class System:
    redis: RedisServer
    relay: App
    listener: App
    codes: Counter[int] = field(default_factory=Counter)
    acked: list[int] = field(default_factory=list)
    next_id: int = 0

    def start(self) -> None:
        self.redis.start()
        for app in (self.relay, self.listener):
            app.start()
        for app in (self.relay, self.listener):
            app.wait_ready()

    def post(self) -> tuple[int, float]:
        """Send the next signal; return the status and how long it took."""
        number, self.next_id = self.next_id, self.next_id + 1
        connection = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=3)
        with contextlib.closing(connection):
            began = time.monotonic()
            body = json.dumps({"run": "ab", "id": number, "check": f"{number:08x}"})
            connection.request("POST", "/signals", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
        self.codes[response.status] += 1
        if response.status == 200:
            assert answer == {"ack": number}
            self.acked.append(number)
        else:
            assert answer["error"]
        return response.status, time.monotonic() - began

    @contextlib.contextmanager
    def load(self, per_s: float = 200) -> Iterator[None]:
        """Post at a steady rate, in the background, for as long as the block lasts."""
        stop = threading.Event()

        def post_on() -> None:
            for _ in range(10_000):
                if stop.wait(1 / per_s):
                    return
                self.post()

        thread = threading.Thread(target=post_on)
        thread.start()
        try:
            until(lambda: len(self.acked) >= 40, "40 signals are acknowledged")
            yield
            goal = len(self.acked) + 40
            until(lambda: len(self.acked) >= goal, "40 more signals are acknowledged")
        finally:
            stop.set()
            thread.join()

    def received(self) -> list[int]:
        """Return the ids in the listener's record, once nothing new arrives."""
        ids: list[int] = []
        while True:
            entries = self.listener.get(f"/record?after={len(ids)}")[1]["entries"]
            assert isinstance(entries, list)
            for number, check, received_ns in entries:
                assert check == f"{number:08x}"
                assert received_ns <= time.monotonic_ns()
                ids.append(number)
            if not entries:
                return ids

    def settle(self) -> None:
        until(lambda: self.listener.status("connected") is True, "the listener is back")
        time.sleep(0.3)

    def lost(self) -> set[int]:
        return set(self.acked) - set(self.received())

    def restart_redis(self, *, after_s: float = 0.5, forgetting: bool = False) -> None:
        self.redis.signal(signal.SIGKILL)
        time.sleep(after_s)
        if forgetting:
            self.redis.forget()
        self.redis.start()


class Build(Protocol):
    def __call__(self, **env: str) -> System: ...


@pytest.fixture
def build(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Build]:
    """Start a system whose listener has these variables; its parts are gone after the test."""
    systems: list[System] = []

    def started(**env: str) -> System:
        redis = RedisServer(program=program("redis-server"), folder=tmp_path / "redis")
        system = System(
            redis=redis,
            relay=App(name="relay", folder=tmp_path / "relay", redis_port=redis.port, env={}),
            listener=App(
                name="listener", folder=tmp_path / "listener", redis_port=redis.port, env=env
            ),
        )
        systems.append(system)
        system.start()
        return system

    yield started
    for system in systems:
        for process in (system.relay.process, system.listener.process, system.redis.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


# A listener that returns well after the relay has something to replay.
LATE = {"REDIS_RECONNECT_BASE_DELAY_MS": "1500"}


def test_a_restart_under_load_loses_and_repeats_nothing(build: Build) -> None:
    system = build(**LATE)
    with system.load():
        system.restart_redis()
        until(lambda: system.relay.status("connected") is True, "the relay is back")
        assert system.listener.status("connected") is False
    system.settle()
    received = system.received()
    assert set(system.acked) <= set(received)
    assert len(set(received)) == len(received)
    assert system.codes[503] > 10
    for app in (system.relay, system.listener):
        assert (app.status("connections_lost"), app.status("connections_restored")) == (1, 1)


@pytest.mark.full
def test_without_replay_the_same_restart_loses_signals(build: Build) -> None:
    system = build(SIGNALS_REPLAY="off", **LATE)
    with system.load():
        system.restart_redis()
        until(lambda: system.relay.status("connected") is True, "the relay is back")
    system.settle()
    assert system.lost()


@pytest.mark.full
def test_without_reconnection_the_listener_gives_up_and_still_answers(build: Build) -> None:
    system = build(SIGNALS_RECONNECT="off")
    with system.load():
        system.restart_redis(after_s=0.1)
    assert system.listener.status("given_up") is True
    assert system.listener.status("connected") is False
    assert system.listener.status("connections_restored") == 0
    assert system.listener.get("/ready")[0] == 503
    assert len(system.received()) >= 40
    assert system.lost()


def test_a_redis_frozen_for_3_s_is_noticed_by_both_and_survived(build: Build) -> None:
    system = build()
    with system.load():
        system.redis.signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        until(lambda: system.relay.status("connected") is False, "the relay notices")
        until(lambda: system.listener.status("connected") is False, "the listener notices")
        assert time.monotonic() - frozen_at < 3
        time.sleep(max(0.0, frozen_at + 3 - time.monotonic()))
        system.redis.signal(signal.SIGCONT)
    system.settle()
    assert not system.lost()
    assert system.codes[504] >= 1
    assert system.codes[503] > 10


@pytest.mark.full
def test_a_redis_that_returns_without_its_data_does_not_stall_the_listener(build: Build) -> None:
    system = build(**LATE)
    with system.load():
        system.restart_redis(forgetting=True)
    system.settle()
    received = system.received()
    assert max(system.acked) in received
    assert len(set(received)) == len(received)


@pytest.mark.full
def test_entries_of_a_clock_set_back_are_received(build: Build) -> None:
    system = build(**LATE)
    assert system.post()[0] == 200
    system.relay.stop()
    system.restart_redis(after_s=0, forgetting=True)
    with system.redis.client() as client:
        payload = json.dumps({"run": "ab", "id": 77, "check": f"{77:08x}"})
        client.xadd("signals", {"payload": payload}, id="5-0")
        until(lambda: 77 in system.received(), "the entry with an old id is received")
        client.publish("signals", f"9-0 {payload}")
        client.publish("signals", f"6-0 {payload}")
        until(lambda: system.received() == [0, 77, 77, 77], "so are those that are pushed later")


@pytest.mark.full
def test_an_older_copy_of_the_data_repeats_nothing(build: Build, tmp_path: Path) -> None:
    system = build(**LATE)
    for _ in range(3):
        system.post()
    shutil.copytree(system.redis.folder, tmp_path / "backup")
    for _ in range(3):
        system.post()
    system.redis.signal(signal.SIGKILL)
    system.redis.forget()
    shutil.copytree(tmp_path / "backup", system.redis.folder)
    system.redis.start()
    system.relay.wait_ready()
    assert system.post()[0] == 200
    system.settle()
    assert system.received() == [0, 1, 2, 3, 4, 5, 6]


def test_a_command_that_got_no_reply_is_504_and_one_that_was_not_sent_is_503(build: Build) -> None:
    system = build()
    system.redis.signal(signal.SIGSTOP)
    status, took_s = system.post()
    assert status == 504
    assert 0.4 < took_s < 1.5
    status, took_s = system.post()
    assert status == 503
    assert took_s < 0.4
    system.redis.signal(signal.SIGCONT)
    system.relay.wait_ready()
    assert system.post()[0] == 200
    until(lambda: 2 in system.received(), "the acknowledged signal is received")
    # The command of the 504 was in the socket all along: it may have been carried out, and was.
    assert 0 in system.received()
    assert 1 not in system.received()


@pytest.mark.full
def test_a_listener_that_was_killed_goes_on_where_it_was(build: Build) -> None:
    system = build()
    with system.load():
        system.listener.stop(signal.SIGKILL)
        time.sleep(0.3)
        system.listener.start()
        system.listener.wait_ready()
    system.settle()
    received = system.received()
    assert not system.lost()
    assert len(set(received)) == len(received)


@pytest.mark.full
def test_a_listener_that_lags_loses_what_redis_forgot(build: Build) -> None:
    system = build(SIGNALS_PUSH="off")
    with system.load():
        system.restart_redis(forgetting=True)
    system.settle()
    assert 1 <= len(system.lost()) <= 40
    assert max(system.acked) in system.received()


def test_sigterm_ends_both_within_2_s_also_while_redis_is_frozen(build: Build) -> None:
    system = build()
    system.redis.signal(signal.SIGSTOP)
    for app in (system.relay, system.listener):
        began = time.monotonic()
        app.stop()
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("REDIS_RECONNECT_MAX_FAILURES", "0"), ("SIGNALS_REPLAY", "no"), ("REDIS_PORT", "x")],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(tmp_path: Path, name: str, value: str) -> None:
    env = {"EXPECT_EXIT": "yes", name: value}
    app = App(name="listener", folder=tmp_path, redis_port=1, env=env)
    app.start()
    assert app.process is not None
    _, err = app.process.communicate(timeout=10)
    assert app.process.returncode == 2
    assert err.count("\n") == 1
    assert err.startswith(f"listener: {name} is '{value}'; wanted")
