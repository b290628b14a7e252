"""What a service may use of the host: its log has a cap, and so have its memory and processes."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from gameday.host.log_keeper import capped_line
from gameday.runtimes.process.logs import LOG_CAP_BYTES

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]


class Begin(Protocol):
    """Starts pytest with the scenario, whose listener is that program."""

    def __call__(
        self, runtime: str, *, program: str = "apps.listener", lasting: str
    ) -> "subprocess.Popen[str]": ...


_RUN_LIMIT_S = 120

_TARGET = """
target: bounded
title: The signals, with a listener of their own
services:
  redis: {kind: redis, memory: 512MB, pids: 300}
  relay: {kind: app, program: apps.relay, needs: [redis]}
  listener: {kind: app, program: PROGRAM, needs: [redis]}
"""
_CHATTY = """
import os
import threading

from apps.listener import build
from apps.service import run


def talk():
    for _ in range(200):
        os.write(1, b"x" * 999_999 + b"\\n")


if __name__ == "__main__":
    threading.Thread(target=talk).start()
    run("listener", build)
"""
_SCENARIO = """
scenario: bounds
title: Services within bounds
target: bounded
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 90%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - pause: redis
    for: LASTING
expect:
  - lost: "== 0"
"""


@pytest.fixture
def begin(launch: Launch, tmp_path: Path) -> Begin:
    def start(
        runtime: str, *, program: str = "apps.listener", lasting: str
    ) -> "subprocess.Popen[str]":
        (tmp_path / "scenarios").mkdir()
        (tmp_path / "scenarios" / "bounds.yaml").write_text(_SCENARIO.replace("LASTING", lasting))
        (tmp_path / "targets" / "bounded").mkdir(parents=True)
        (tmp_path / "targets" / "bounded" / "chatty.py").write_text(_CHATTY)
        text = _TARGET.replace("PROGRAM", program)
        (tmp_path / "targets" / "bounded" / "target.yaml").write_text(text)
        return launch(tmp_path, ["--scenario=bounds", f"--gameday-runtime={runtime}"])

    return start


def test_a_log_is_cut_off_at_its_cap_and_its_service_goes_on(begin: Begin, tmp_path: Path) -> None:
    process = begin("process", program="chatty", lasting="500ms")
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)

    (report,) = tmp_path.glob("reports/*")
    result = json.loads((report / "result.json").read_text())
    assert result["verdict"] != "ERROR", output
    assert result["clean"] == []
    log = report / "logs" / "listener.log"
    assert log.stat().st_size == LOG_CAP_BYTES + len(capped_line(LOG_CAP_BYTES))
    with log.open("rb") as file:
        file.seek(LOG_CAP_BYTES)
        assert file.read() == capped_line(LOG_CAP_BYTES)


def test_containers_are_bounded_by_default_and_as_their_target_says(
    begin: Begin,
    tmp_path: Path,
    docker_engine: "docker.DockerClient",
) -> None:
    process = begin("docker", lasting="30s")
    run = wait_for(tmp_path, "EffectProven", process).partition(", run ")[2][:8]
    host = dict(hosts_of(docker_engine, run))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=_RUN_LIMIT_S)

    assert {"redis", "relay", "listener", "redis-proxy"} <= host.keys()
    for name, seen in host.items():
        memory, pids = (512_000_000, 300) if name == "redis" else (2 * 1024**3, 4096)
        assert (seen["Memory"], seen["MemorySwap"], seen["PidsLimit"]) == (memory, memory, pids)
        assert seen["LogConfig"] == {
            "Type": "json-file",
            "Config": {"max-file": "2", "max-size": str(LOG_CAP_BYTES // 2)},
        }


def hosts_of(engine: "docker.DockerClient", run: str) -> Iterator[tuple[str, dict[str, object]]]:
    for container in engine.containers.list(filters={"label": f"gameday.run={run}"}):
        yield str(container.labels["gameday.service"]), container.attrs["HostConfig"]


def wait_for(folder: Path, text: str, process: "subprocess.Popen[str]") -> str:
    give_up = time.monotonic() + _RUN_LIMIT_S
    while time.monotonic() < give_up and process.poll() is None:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if text in journal.read_text():
                return journal.read_text()
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"never came to {text}:\n{process.communicate()[0]}")


@pytest.fixture
def flood(
    docker_engine: "docker.DockerClient", docker_image: Callable[[str], str]
) -> "Iterator[Container]":
    """A container that has written 200 MB to its log, and lives."""
    from gameday.runtimes.docker.options import bounds_of

    bounds = bounds_of()
    made = docker_engine.containers.create(
        docker_image("redis:7.0-bookworm"),
        ["-c", "yes $(head -c 1000 /dev/zero | tr '\\0' x) | head -c 200000000; sleep 60"],
        entrypoint=["sh"],
        **bounds,  # type: ignore[arg-type]
    )
    made.start()
    yield made
    made.remove(force=True)


@pytest.mark.alone
def test_the_log_of_a_container_is_kept_within_its_cap(flood: "Container", tmp_path: Path) -> None:
    from gameday.runtimes.docker.options import save_log

    while "sleep 60" not in [process[-1] for process in flood.top()["Processes"]]:
        time.sleep(0.1)
    began = time.monotonic()
    save_log(flood, b"", tmp_path / "log")
    assert time.monotonic() - began < 15
    kept = (tmp_path / "log").read_bytes()
    assert len(kept) < LOG_CAP_BYTES + 1000
    assert b"\ngameday: " in kept[-200:], "it says that something is missing"
