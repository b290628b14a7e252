"""The bypass detector on real services: who goes around a proxy is found out."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import NoReturn, Protocol

import pytest

from gameday.api.environment import EnvironmentConfig
from gameday.api.traffic import Metered, Paths, Traced
from gameday.edge.servers import find_toxiproxy_server
from gameday.engine.addresses import Addresses
from gameday.engine.bypass import spoken
from gameday.engine.planning import vocabulary
from gameday.host.waiting import free_ports
from gameday.load.load import LoadDriver
from gameday.load.reader import LiveView, read_history
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.operation import Outcome
from gameday.model.plan import PlannedStream
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.resources import bundled
from gameday.runtimes.docker.environment import ContainerEnvironment
from gameday.runtimes.kinds import login_of
from gameday.runtimes.process.environment import ProcessEnvironment

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_RELAY = Edge(client="relay", service="redis")
_LISTENER = Edge(client="listener", service="redis")
_CLIENT = Edge(client="client", service="redis")
_VISITS = 20
_VISIT = "import socket; socket.create_connection(('redis', 6379)).close()"
_PINGS = b"PING\r\n" * 1000
_SCENARIO = """
scenario: around
title: A relay that goes past the proxy which a fault is put on
target: around
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 50%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 1s, recovery: 20s, quiet: 500ms}
faults:
  - {FAULT, at: 0s, for: 2s}
expect:
  - recovery: "<= 15s"
"""
_FIXED_PORTS = """
import gameday.runtimes.process.environment

gameday.runtimes.process.environment.free_ports = lambda _: PORTS
"""
_NOW_AND_THEN = '''
"""The relay, which keeps its connection through the proxy and publishes over others."""

import asyncio
import os

from apps import relay
from apps.service import run
from resilience import reconnecting_pubsub


async def publish(self, payload):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["PAST"]))
    words = [b"EVAL", reconnecting_pubsub._PUBLISH.encode(), b"1", self._topic.encode(), b"9999"]
    said = b"".join(b"$%d\\r\\n%b\\r\\n" % (len(one), one) for one in [*words, payload])
    writer.write(b"*%d\\r\\n" % (len(words) + 1) + said)
    assert (await reader.readline()).startswith(b"$")
    await reader.readline()
    writer.close()


reconnecting_pubsub.Publisher.publish = publish
if __name__ == "__main__":
    run("relay", relay.build)
'''
_PAST_ALL = "connections to redis bypassed all of its proxies"
_PAST = "went directly to redis, bypassing the proxy of relay -> redis"


class Around(Protocol):
    """Runs a scenario with that fault, and a relay to which something is done; ends in a result."""

    def __call__(
        self, fault: str, runtime: str = "process", program: str = "apps.relay", **variables: object
    ) -> Mapping[str, str]: ...


@pytest.fixture
def around(launch: Launch, tmp_path: Path) -> Around:
    def run(
        fault: str, runtime: str = "process", program: str = "apps.relay", **variables: object
    ) -> Mapping[str, str]:
        signals = (bundled("targets") / "signals" / "target.yaml").read_text()
        env = "".join(f'      {name}: "{value}"\n' for name, value in variables.items())
        own = signals.replace("target: signals", "target: around")
        own = own.replace("program: apps.relay", f"program: {program}")
        own = own.replace("    env:\n", f"    env:\n{env}", 1)
        for file, text in (
            ("scenarios/around.yaml", _SCENARIO.replace("FAULT", fault)),
            ("targets/around/target.yaml", own),
        ):
            (tmp_path / file).parent.mkdir(parents=True)
            (tmp_path / file).write_text(text)
        process = launch(tmp_path, ["--scenario=around", f"--gameday-runtime={runtime}"])
        output, _ = process.communicate(timeout=90)
        (result,) = tmp_path.glob("reports/*/result.json")
        found: Mapping[str, str] = {**json.loads(result.read_text()), "output": output}
        return found

    return run


@pytest.fixture
def redis_port(tmp_path: Path) -> int:
    """Return where Redis listens itself; in process that is known to nobody, so it is fixed."""
    ports = free_ports(3)
    (tmp_path / "conftest.py").write_text(_FIXED_PORTS.replace("PORTS", str(ports)))
    return ports[0]


@pytest.mark.usefixtures("docker_engine")
def test_a_run_whose_traffic_went_around_the_fault_is_invalid(around: Around) -> None:
    latency = "latency: relay -> redis, delay: 50ms"
    result = around(latency, "docker", REDIS_HOST="redis", REDIS_PORT=6379)
    assert result["verdict"] == "INVALID", result["output"]
    assert _PAST in result["reason"]


@pytest.mark.usefixtures("docker_engine")
def test_who_goes_past_the_proxies_meets_a_partition_of_packets(around: Around) -> None:
    split = "partition: redis | relay, met_by: probes"  # the proxies see nothing of its load
    result = around(split, "docker", REDIS_HOST="redis", REDIS_PORT=6379)
    # How busy the host was is not the question here.
    assert result["verdict"] not in ("INVALID", "ERROR"), result["output"]


@pytest.mark.sample("blackhole")
@pytest.mark.parametrize("fault", ["blackhole: relay -> redis", "partition: redis | relay"])
def test_a_client_that_goes_past_the_proxy_makes_a_run_invalid(
    around: Around, redis_port: int, fault: str
) -> None:
    result = around(fault, REDIS_PORT=redis_port)
    assert result["verdict"] == "INVALID", result["output"]
    assert _PAST in result["reason"]


@pytest.mark.sample("partition")
@pytest.mark.parametrize("fault", ["blackhole: relay -> redis", "partition: redis | relay"])
def test_a_client_that_goes_past_the_proxy_for_each_request_makes_a_run_invalid(
    around: Around, redis_port: int, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "now_and_then.py").write_text(_NOW_AND_THEN)
    path = f"{tmp_path}:{bundled('targets')}"
    result = around(fault, program="now_and_then", PYTHONPATH=path, PAST=redis_port)
    assert result["verdict"] == "INVALID", result["output"]
    # Connections that last a millisecond may all be gone at every look; the kernel counts them.
    assert _PAST in result["reason"] or _PAST_ALL in result["reason"]


def test_an_edge_that_carried_nothing_before_the_fault_makes_a_run_invalid(
    around: Around, redis_port: int
) -> None:
    """The relay goes by a forwarder that nobody knows of, so that no connection gives it away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=forward, args=(listener, redis_port), daemon=True).start()
        result = around("blackhole: relay -> redis", REDIS_PORT=listener.getsockname()[1])
    assert result["verdict"] == "INVALID", result["output"]
    assert (
        "no traffic between relay and redis passed through the proxy of relay -> redis"
        in result["reason"]
    )


def test_a_fault_on_requests_that_nobody_makes_was_met_by_none(
    around: Around, runtime: str
) -> None:
    result = around("http-status: client -> relay, status: 503, method: GET, path: /none*", runtime)
    assert result["verdict"] == "INVALID", result["output"]
    assert "; only 0 operations of the load met it, 1 are required" in result["reason"]


def forward(listener: socket.socket, port: int) -> None:
    """Pass on what comes to a service on this host, until the listener is closed."""
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()


def pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while some := source.recv(1 << 16):
            sink.sendall(some)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(params=["own", "toxiproxy"])
def environment(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProcessEnvironment]:
    """The target `signals`, whose relay knows the address of Redis itself."""
    if request.param == "toxiproxy" and find_toxiproxy_server() is None:
        pytest.skip("missing: toxiproxy-server on PATH")
    target = load_target(bundled("targets") / "signals" / "target.yaml", vocabulary())
    ports = free_ports(len(target.services))
    monkeypatch.setattr("gameday.runtimes.process.environment.free_ports", lambda _: ports)
    redis, relay, listener = target.services
    relay = replace(relay, env={**relay.env, "REDIS_PORT": str(ports[0])})
    changed = replace(target, services=(redis, relay, listener))
    given = EnvironmentConfig(
        run=token_hex(4), target=changed, logs=tmp_path, seed=1, proxy=str(request.param)
    )
    made = ProcessEnvironment(given)
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


def test_connections_and_bytes_are_those_that_were_made(environment: ProcessEnvironment) -> None:
    assert isinstance(environment, Traced)
    assert isinstance(environment, Metered)
    around, through = environment.paths(_RELAY), environment.paths(_LISTENER)
    assert around is not None
    assert through is not None
    assert (len(around.through), len(around.around)) == (0, 1)
    assert (len(through.through), len(through.around)) == (2, 0)
    front, login = environment.proxied(_CLIENT), login_of(environment.service("redis").spec)
    with socket.create_connection((front.host, front.port), timeout=5) as line:
        sent = b"AUTH %b %b\r\n%b" % (login.user.encode(), login.password.encode(), _PINGS)
        line.sendall(sent)
        received = 0
        while received < len(b"+OK\r\n") + len(b"+PONG\r\n") * 1000:
            received += len(line.recv(1 << 16))
        # The connection is still open, which Toxiproxy's own counters do not show.
        traffic = environment.traffic()
    assert traffic[_CLIENT].upstream_bytes == len(sent)
    assert traffic[_CLIENT].downstream_bytes == received
    assert traffic[_RELAY].upstream_bytes == 0
    assert traffic[_LISTENER].upstream_bytes > 0


@pytest.mark.sample("own")
@pytest.mark.parametrize("ended_by", ["the client", "the server"])
def test_connections_that_are_over_are_known_by_the_arrivals_at_a_service(
    environment: ProcessEnvironment, ended_by: str
) -> None:
    ways = {"direct": environment.service("redis").upstream, "front": environment.proxied(_CLIENT)}
    for way, endpoint in ways.items():
        before, counted = environment.arrivals("redis"), environment.traffic_so_far()
        for _ in range(_VISITS):
            with socket.create_connection((endpoint.host, endpoint.port), timeout=5) as line:
                line.sendall(b"QUIT\r\n" if ended_by == "the server" else b"PING\r\n")
                while line.recv(64) and ended_by == "the server":
                    pass
        after, counted_after = environment.arrivals("redis"), environment.traffic_so_far()
        assert before is not None
        assert after is not None
        assert len(after - before) == _VISITS
        if counted is None or counted_after is None:
            continue  # Toxiproxy tells at the end.
        accepted = counted_after[_CLIENT].connections - counted[_CLIENT].connections
        assert accepted == (_VISITS if way == "front" else 0)


def test_what_a_probe_sends_and_hears_is_known_to_the_byte(
    tmp_path: Path, missing: Callable[[str], NoReturn]
) -> None:
    services = (
        ServiceSpec(name="redis", kind="redis"),
        ServiceSpec(name="rcopy", kind="redis-replica", needs=("redis",)),
        ServiceSpec(name="postgres", kind="postgres"),
    )
    target = Target(name="t", title="T", path=tmp_path, services=services)
    given = EnvironmentConfig(run=token_hex(4), target=target, logs=tmp_path, seed=1, proxy="own")
    environment = ProcessEnvironment(given)
    if environment.missing():
        missing("; ".join(environment.missing()))
    probes = {"redis": "redis-write", "rcopy": "redis-read", "postgres": "postgres-write"}
    streams = [
        PlannedStream(
            name=f"probe-{service}",
            client=client,
            edge=f"client -> {service}",
            rate_per_s=200.0,
            deadline_ns=SECOND,
        )
        for service, client in probes.items()
    ]
    try:
        environment.start(lambda *_: None, lambda: None)
        plans = [Addresses(target, environment).stream(planned) for planned in streams]
        driver = LoadDriver(plans, tmp_path, "ab12", 60 * SECOND, tmp_path / "driver.log")
        driver.start()
        before = environment.traffic_so_far()
        driver.begin(time.monotonic_ns())
        view = LiveView(tmp_path)
        give_up_ns = time.monotonic_ns() + 10 * SECOND
        while view.operations < 600 and time.monotonic_ns() < give_up_ns:
            time.sleep(0.01)
        view.close()
        driver.stop(5 * SECOND)
        after = environment.traffic_so_far()
    finally:
        environment.stop()
    assert before is not None
    assert after is not None
    history = read_history(tmp_path)
    for plan, service in zip(plans, probes, strict=True):
        rows = history.of(plan.name)
        assert len(rows) > 150
        assert set(rows["outcome"]) == {Outcome.OK}
        edge = Edge(client="client", service=service)
        up = after[edge].upstream_bytes - before[edge].upstream_bytes
        down = after[edge].downstream_bytes - before[edge].downstream_bytes
        assert spoken(plan, rows, "ab12") == (up, down), service


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[ContainerEnvironment]:
    target = load_target(bundled("targets") / "signals" / "target.yaml", vocabulary())
    given = EnvironmentConfig(
        run=token_hex(4), target=target, logs=tmp_path, seed=1, proxy="toxiproxy"
    )
    made = ContainerEnvironment(given)
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


@pytest.mark.usefixtures("docker_engine")
def test_a_container_remembers_a_direct_connection_that_is_over(
    containers: ContainerEnvironment,
) -> None:
    before = containers.paths(_RELAY)
    assert before is not None
    assert before == Paths(through=before.through)
    assert len(before.through) == 1
    relay = containers.service("relay").container
    code, said = relay.exec_run(["python", "-c", _VISIT])
    assert code == 0, said
    after = containers.paths(_RELAY)
    assert after is not None
    assert (len(after.around), len(after.around_closed)) == (0, 1)
