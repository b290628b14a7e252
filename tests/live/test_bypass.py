"""The bypass detector on real services: who goes around a proxy is found out."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gameday.environment.abilities.traffic import Metered, Traced
from gameday.environment.processes import ProcessEnvironment
from gameday.environment.protocol import Surroundings
from gameday.environment.proxies import find_toxiproxy_server
from gameday.environment.waiting import free_ports
from gameday.loading import load_target
from gameday.model.scenario import Edge
from gameday.planning import vocabulary
from gameday.resources import bundled

pytestmark = [pytest.mark.live, pytest.mark.alone]

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_RELAY = Edge(client="relay", service="redis")
_LISTENER = Edge(client="listener", service="redis")
_CLIENT = Edge(client="client", service="redis")
_SENT = b"PING\r\n" * 1000
_SCENARIO = """
scenario: around
title: A relay that goes past the proxy which a fault is put on
target: around
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 50%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - latency: relay -> redis
    delay: 50ms
    for: 500ms
expect:
  - recovery: "<= 15s"
"""


@pytest.mark.usefixtures("docker_engine")
def test_a_run_whose_traffic_went_around_the_fault_is_invalid(
    launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "around.yaml").write_text(_SCENARIO)
    (tmp_path / "targets" / "around").mkdir(parents=True)
    signals = (bundled("targets") / "signals" / "target.yaml").read_text()
    past = 'REDIS_HOST: redis\n      REDIS_PORT: "6379"\n      REDIS_RECONNECT_MAX'
    around = signals.replace("target: signals", "target: around")
    (tmp_path / "targets" / "around" / "target.yaml").write_text(
        around.replace("REDIS_RECONNECT_MAX", past, 1)
    )
    process = launch(tmp_path, ["--scenario=around", "--gameday-runtime=docker"])
    output, _ = process.communicate(timeout=90)
    (file,) = tmp_path.glob("reports/*/result.json")
    result = json.loads(file.read_text())
    assert result["verdict"] == "INVALID", output
    assert "relay went to redis directly, past the proxy of relay -> redis" in result["reason"]


@pytest.fixture(params=["own", "toxiproxy"])
def environment(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProcessEnvironment]:
    """The target `signals`, whose relay knows the address of Redis itself."""
    if request.param == "toxiproxy" and find_toxiproxy_server() is None:
        pytest.skip("missing: toxiproxy-server on PATH")
    target = load_target(bundled("targets") / "signals" / "target.yaml", vocabulary())
    ports = free_ports(len(target.services))
    monkeypatch.setattr("gameday.environment.processes.free_ports", lambda _: ports)
    redis, relay, listener = target.services
    relay = replace(relay, env={**relay.env, "REDIS_PORT": str(ports[0])})
    changed = replace(target, services=(redis, relay, listener))
    given = Surroundings(
        run="bypass", target=changed, logs=tmp_path, seed=1, proxy=str(request.param)
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
    assert (around.through, around.around > 0) == (0, True)
    assert (through.through > 0, through.around) == (True, 0)
    front = environment.front(_CLIENT)
    with socket.create_connection((front.host, front.port), timeout=5) as line:
        line.sendall(_SENT)
        received = 0
        while received < len(b"+PONG\r\n") * 1000:
            received += len(line.recv(1 << 16))
        # The connection is still open, which Toxiproxy's own counters do not show.
        traffic = environment.traffic()
    assert traffic[_CLIENT].upstream_bytes == len(_SENT)
    assert traffic[_CLIENT].downstream_bytes == received
    assert traffic[_RELAY].upstream_bytes == 0
    assert traffic[_LISTENER].upstream_bytes > 0
