"""Each fault of the catalogue, written in YAML and run by pytest, one family after the other."""

import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

import pika
import pytest

from gameday.registry import FAULTS

pytestmark = pytest.mark.live


class Launch(Protocol):
    def __call__(
        self, folder: Path, arguments: list[str], temporary: str = ...
    ) -> "subprocess.Popen[str]": ...


_SERVICES: Mapping[str, str] = {
    "redis": '{kind: redis, disk: 128MB, options: {appendonly: "yes", appendfsync: everysec}}',
    "relay": "{kind: app, program: apps.relay, needs: [redis]}",
    "listener": "{kind: app, program: apps.listener, needs: [redis]}",
    "aside": "{kind: app, program: apps.relay, needs: [redis]}",
    "rcopy": "{kind: redis-replica, needs: [redis]}",
    "postgres": "{kind: postgres, disk: 256MB}",
    "pcopy": "{kind: postgres-replica, needs: [postgres]}",
    "rabbitmq": "{kind: rabbitmq, env: {RABBITMQ_DEFAULT_USER: ann, RABBITMQ_DEFAULT_PASS: bee}}",
}
"""Nobody's load comes by the last five: what hits them is met by probes of their own."""
_BESIDE_THE_LOAD = ("aside", "rcopy", "postgres", "pcopy", "rabbitmq", "client -> redis")
_ALWAYS = ("redis", "relay", "listener")
_SCENARIO = """
scenario: tour
title: Every fault of a family, one after the other
target: all
workload:
  - publish: {to: relay, ledger: listener, rate: 150/s}
steady: {success: ">= 50%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 1s, recovery: 30s, quiet: 500ms}
faults:
FAULTS
expect:
  - corrupt: "== 0"
"""
_FAMILIES: Mapping[str, Sequence[str]] = {
    "lifecycle": (
        "kill: redis",
        "kill: aside, signal: SIGTERM",
        "stop: rcopy",
        "restart: postgres",
        "crash-loop: rcopy, times: 2, interval: 500ms",
        "pause: pcopy",
        "remove: redis, volume: drop",
        "kill-inside: postgres, pattern: walwriter",
    ),
    "network": (
        "latency: relay -> redis, delay: 50ms, jitter: 5ms",
        "latency: pcopy -> postgres, delay: 100ms, jitter: 30ms, distribution: normal",
        "bandwidth: client -> postgres, rate: 64kB/s",
        "bandwidth: rcopy -> redis, rate: 0kB/s",
        "blackhole: client -> postgres",
        "refuse: listener -> redis",
        "reset: relay -> redis",
        "slice: client -> relay, size: 50B",
        "byte-limit: aside -> redis, after: 4kB",
        "slow-close: client -> aside, delay: 100ms",
        "half-open: client -> postgres",
        "flap: pcopy -> postgres, down: 500ms, up: 500ms",
        "connection-flood: client -> redis, count: 50",
    ),
    "partition": (
        "partition: redis",
        "partition: redis | rcopy, direction: in",
        "partition: 'redis, rcopy, relay, listener', shape: ring",
        "partition: 'redis, relay, listener', shape: bridge",
        "packet-loss: relay -> redis, share: 30%",
    ),
    "resources": (
        "cpu-limit: redis, cores: 0.3",
        "cpu-burn: postgres, load: 50%",
        "memory-limit: aside, limit: 256MiB",
        "memory-burn: rcopy, size: 64MiB",
        "memory-burn: aside, size: 64MiB, until: oom",
        "pids-limit: rabbitmq, free: 20",
        "file-descriptors: redis, free: 5",
        "io-throttle: rabbitmq, write: 2MB/s",
        "disk-fill: postgres, free: 30MB",
        "read-only-data: redis",
        "clock-offset: listener, offset: +1h",
        "clock-drift: postgres, rate: 1.5",
    ),
    "stores": (
        "client-kill: redis",
        "failover: redis, to: rcopy",
        "maxmemory: redis, of_used: 50%",
        "script-busy: rcopy",
        "persistence-off: redis",
        "terminate-backends: postgres",
        "lock-table: postgres, table: gameday_probe",
        "connection-cap: pcopy",
        "promote: pcopy",
        "stop-replay: pcopy",
        "async-commit: postgres",
    ),
    "rabbitmq": (
        "close-connections: rabbitmq",
        "memory-alarm: rabbitmq",
        "disk-alarm: rabbitmq",
        "consumer-cancel: rabbitmq, queue: orders",
        "queue-purge: rabbitmq, queue: orders",
        "stop-app: rabbitmq",
    ),
    "http and load": (
        "http-status: client -> relay, status: 503, share: 50%",
        "http-abort: client -> relay, path: /signals",
        "http-delay: client -> aside, delay: 200ms",
        "http-body: client -> relay, body: hello",
        "surge: relay, factor: 3",
        "malformed-payload: relay",
        "slow-consumer: redis, channel: signals",
        "poison-message: redis, to: signals",
    ),
}
_MEASURED = {"network", "resources", "rabbitmq", "http and load"}
"""Proven by times, rates and shares, or met by a slow client: these run alone."""
_IN_DOCKER_ONLY = {"packet-loss"}
_OVER_BY_THEMSELVES = {
    "restart",
    "crash-loop",
    "kill-inside",
    "client-kill",
    "terminate-backends",
    "close-connections",
    "consumer-cancel",
    "queue-purge",
    "poison-message",
}
"""All others are looked at right before they are undone."""
_FOR_MS = 500
_PORTS = 23_500 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Where the proxies of a run begin: of each process that runs tests side by side its own."""
_RUN_LIMIT_S = 150


def test_no_fault_is_left_out() -> None:
    tried = {fault.partition(":")[0] for faults in _FAMILIES.values() for fault in faults}
    assert tried == set(FAULTS)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=pytest.mark.alone if family in _MEASURED else ())
        for family in _FAMILIES
    ],
)
def test_every_fault_of_a_scenario_is_proven_met_and_undone(
    launch: Launch, tmp_path: Path, runtime: str, family: str, missing: Callable[[str], NoReturn]
) -> None:
    faults = [
        f for f in _FAMILIES[family] if runtime == "docker" or _verb(f) not in _IN_DOCKER_ONLY
    ]
    services = [name for name in _SERVICES if name in _ALWAYS or any(name in f for f in faults)]
    write(tmp_path, services, faults)
    arguments = ["--scenario=tour", f"--gameday-runtime={runtime}", f"--gameday-ports={_PORTS}"]
    # What is in memory, where the other families have their data, cannot be throttled.
    process = launch(tmp_path, arguments, "/tmp" if family == "resources" else "/dev/shm")
    with orders_consumed(services) if family == "rabbitmq" else nothing_beside():
        output, _ = process.communicate(timeout=_RUN_LIMIT_S)

    results = list(tmp_path.glob("reports/*/result.json"))
    if not results:
        missing(output.splitlines()[-2])
    result = json.loads(results[0].read_text())
    assert [f["fault"] for f in result["faults"]] == [_verb(f) for f in faults], output
    for fault in result["faults"]:
        assert (fault["proven"], fault["undone"]) == (True, True), output
        assert fault["measured"]["operations_exposed"] >= 1, fault
        looked_at = fault["measured"].get("in_at_end")
        assert looked_at is (None if fault["fault"] in _OVER_BY_THEMSELVES else True), fault
    # What became of the signals is not the question here, nor how busy the host was.
    assert result["verdict"] not in ("INVALID", "ERROR"), output
    assert result["clean"] == []


def _verb(fault: str) -> str:
    return fault.partition(":")[0]


def _met_by(fault: str) -> str:
    hit = fault.partition(":")[2].strip().split(",")[0]
    return "probes" if any(name in hit for name in _BESIDE_THE_LOAD) else "load"


def write(folder: Path, services: Sequence[str], faults: Sequence[str]) -> None:
    """Write a scenario of which each fault begins when the one before ends, and its target."""
    steps = (
        f"  - {{{fault}, at: {number * _FOR_MS}ms, for: {_FOR_MS}ms, met_by: {_met_by(fault)}}}"
        for number, fault in enumerate(faults)
    )
    entries = (f"  {name}: {_SERVICES[name]}" for name in services)
    target = "\n".join(["target: all", "title: All", "services:", *entries])
    for file, text in (
        ("scenarios/tour.yaml", _SCENARIO.replace("FAULTS", "\n".join(steps))),
        ("targets/all/target.yaml", target),
    ):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_text(text)


@contextmanager
def nothing_beside() -> Iterator[None]:
    yield


@contextmanager
def orders_consumed(services: Sequence[str]) -> Iterator[None]:
    """Keep somebody at the broker's front who consumes what he publishes, whatever is broken."""
    inner = sum(_SERVICES[name].count("needs") for name in services)
    port = _PORTS + inner + list(services).index("rabbitmq")
    where = pika.ConnectionParameters(
        "127.0.0.1", port, credentials=pika.PlainCredentials("ann", "bee"), socket_timeout=1
    )
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # of every try, three times
    over = threading.Event()

    def consume() -> None:
        while not over.wait(0.1):
            try:
                with pika.BlockingConnection(where) as connection:
                    channel = connection.channel()
                    channel.queue_declare("orders", durable=True)
                    # What nobody takes is there to be purged.
                    channel.basic_qos(prefetch_count=1)
                    channel.basic_consume("orders", lambda *_: None)
                    while not over.is_set() and channel.is_open:
                        channel.basic_publish("", "orders", b"order")
                        connection.process_data_events(0.1)
            # The last is what pika makes of a connection that ends while it is being made.
            except (pika.exceptions.AMQPError, OSError, ValueError):
                continue

    consumer = threading.Thread(target=consume)
    consumer.start()
    try:
        yield
    finally:
        over.set()
        consumer.join()
