"""A run that is ended from outside heals within seconds, and leaves a result that says so."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.cleanup.labels import labelled_processes

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_TARGETS = Path(__file__).parents[2] / "targets"
_HEAL_LIMIT_S = 5
_END_LIMIT_S = 12
_RUN_LIMIT_S = 90

_TARGET = """
target: dripping
title: Signals, and a listener that begins to drip its record when it is told to
services:
  redis: {kind: redis}
  relay: {kind: app, program: apps.relay, needs: [redis]}
  listener:
    kind: app
    program: dripping
    needs: [redis]
    env: {PYTHONPATH: "PATHS", DRIPS: "FILE"}
"""
_PROGRAM = """
import asyncio
import os
from pathlib import Path

from apps.listener import build
from apps.service import run
from starlette.responses import StreamingResponse
from starlette.routing import Route


async def drops():
    while True:
        yield b" "
        await asyncio.sleep(0.1)


def dripping(settings):
    client, (route,) = build(settings)

    async def record(request):
        if Path(os.environ["DRIPS"]).exists():
            return StreamingResponse(drops(), media_type="application/json")
        return await route.endpoint(request)

    return client, [Route("/record", record)]


if __name__ == "__main__":
    run("listener", dripping)
"""
_SCENARIO = """
scenario: hanging
title: A run that is ended while it waits
target: TARGET
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 90%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - FAULT
    for: LASTING
expect:
  - lost: "== 0"
"""


def scenario(folder: Path, fault: str, *, lasting: str = "30s", target: str = "signals") -> None:
    (folder / "scenarios").mkdir()
    text = _SCENARIO.replace("FAULT", fault).replace("LASTING", lasting).replace("TARGET", target)
    (folder / "scenarios" / "hanging.yaml").write_text(text)


@pytest.fixture
def drip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target whose listener drips its record once this file is there."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "dripping.py").write_text(_PROGRAM)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/programs")
    folder = tmp_path / "targets" / "dripping"
    folder.mkdir(parents=True)
    paths = f"{tmp_path}/programs:{_TARGETS}"
    text = _TARGET.replace("PATHS", paths).replace("FILE", f"{tmp_path}/drips")
    (folder / "target.yaml").write_text(text)
    return tmp_path / "drips"


def wait_for(folder: Path, text: str, process: "subprocess.Popen[str]") -> Path:
    give_up = time.monotonic() + _RUN_LIMIT_S
    while time.monotonic() < give_up and process.poll() is None:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if text in journal.read_text():
                return journal
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"never came to {text}:\n{process.communicate()[0]}")


def events(journal: Path, kind: str) -> list[float]:
    """Return when such events were, on CLOCK_MONOTONIC."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    (zero,) = [e["text"] for e in lines if "CLOCK_MONOTONIC" in e.get("text", "")]
    zero_s = int(zero.partition("is ")[2].split()[0]) / 1e9
    return [zero_s + e["at_ns"] / 1e9 for e in lines if e["event"] == kind]


def result_of(journal: Path) -> dict[str, object]:
    result: dict[str, object] = json.loads((journal.parent / "result.json").read_text())
    return result


def end(process: "subprocess.Popen[str]", *numbers: signal.Signals) -> tuple[float, str]:
    """Send signals, shortly apart; return when the first was sent, and what was printed."""
    asked = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        if number is not numbers[-1]:
            time.sleep(0.3)
    output, _ = process.communicate(timeout=_END_LIMIT_S)
    return asked, output


@pytest.mark.sample("SIGINT")
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT,),
        (signal.SIGTERM,),
        (signal.SIGHUP,),
        (signal.SIGQUIT,),
        (signal.SIGINT, signal.SIGTERM),
    ],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_a_receiver_that_drips_holds_no_signal(
    launch: Launch, tmp_path: Path, drip: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    scenario(tmp_path, "kill: redis", target="dripping")
    process = launch(tmp_path, ["--scenario=hanging", "--gameday-runtime=process"])
    journal = wait_for(tmp_path, "EffectProven", process)
    drip.touch()
    time.sleep(1)
    asked, output = end(process, *numbers)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    (undone_s,) = events(journal, "FaultUndone")
    assert undone_s - asked < _HEAL_LIMIT_S
    result = result_of(journal)
    assert result["verdict"] == "ERROR"
    assert str(result["reason"]).startswith(f"interrupted by {numbers[0].name} during break")
    assert (result["expectations"], result["clean"]) == ([], [])


@pytest.mark.parametrize("phase", ["recover", "settle"])
def test_a_receiver_that_drips_holds_no_phase(
    launch: Launch, tmp_path: Path, drip: Path, phase: str
) -> None:
    scenario(tmp_path, "kill: redis", lasting="1s", target="dripping")
    process = launch(tmp_path, ["--scenario=hanging", "--gameday-runtime=process"])
    wait_for(tmp_path, "EffectProven", process)
    drip.touch()
    journal = wait_for(tmp_path, f'"phase": "{phase}"', process)
    _, output = end(process, signal.SIGTERM)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert f"interrupted by SIGTERM during {phase}" in str(result_of(journal)["reason"])


def test_a_record_that_drips_to_the_end_is_not_measured(
    launch: Launch, tmp_path: Path, drip: Path
) -> None:
    scenario(tmp_path, "kill: redis", lasting="1s", target="dripping")
    process = launch(tmp_path, ["--scenario=hanging", "--gameday-runtime=process"])
    journal = wait_for(tmp_path, "EffectProven", process)
    drip.touch()
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)

    result = result_of(journal)
    assert result["verdict"] == "INCONCLUSIVE", output
    assert "no whole answer within 5 s" in str(result["reason"])
    findings = result["findings"]
    assert isinstance(findings, list)
    (lost,) = [finding for finding in findings if finding["name"] == "lost"]
    assert lost["value"] is None


@pytest.mark.sample("process-EffectProven", "docker-FaultInjected")
@pytest.mark.parametrize("moment", ["FaultInjected", "EffectProven"])
def test_a_slow_edge_to_the_receiver_holds_no_signal(
    launch: Launch, tmp_path: Path, runtime: str, moment: str
) -> None:
    """Its proof alone takes ten seconds, in which no checkpoint comes."""
    fault = "bandwidth: client -> listener\n    rate: 1kB/s\n    met_by: probes"
    scenario(tmp_path, fault)
    process = launch(tmp_path, ["--scenario=hanging", f"--gameday-runtime={runtime}"])
    journal = wait_for(tmp_path, moment, process)
    asked, output = end(process, signal.SIGINT)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    (undone_s,) = events(journal, "FaultUndone")
    assert undone_s - asked < _HEAL_LIMIT_S
    assert result_of(journal)["clean"] == []


@pytest.mark.parametrize("way", ["raises", "exits"])
def test_a_time_limit_of_a_plugin_leaves_a_result(launch: Launch, tmp_path: Path, way: str) -> None:
    """Both of what pytest-timeout does: pytest.fail in a handler, or os._exit in a thread."""
    (tmp_path / "conftest.py").write_text(_LIMITED.replace("WAY", way))
    scenario(tmp_path, "pause: redis")
    process = launch(tmp_path, ["--scenario=hanging", "--gameday-runtime=process"])
    journal = wait_for(tmp_path, "EffectProven", process)
    (tmp_path / "over").touch()
    output, _ = process.communicate(timeout=_END_LIMIT_S)

    give_up = time.monotonic() + _END_LIMIT_S
    while not (journal.parent / "result.json").exists() and time.monotonic() < give_up:
        time.sleep(0.1)
    result = result_of(journal)
    assert result["verdict"] == "ERROR", output
    wanted = {
        "raises": "interrupted during break: Timeout",
        "exits": "the harness is gone: it ended during break",
    }
    assert str(result["reason"]).startswith(wanted[way])
    assert (result["expectations"], result["clean"]) == ([], [])
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert not list(labelled_processes(journal.read_text().partition(", run ")[2][:8]))


_LIMITED = """
import os
import signal
import threading
import time
from pathlib import Path

import pytest


def over(number, frame):
    pytest.fail("Timeout (>10.0s) from a plugin")


signal.signal(signal.SIGALRM, over)


def watch():
    while not Path("over").exists():
        time.sleep(0.05)
    if "WAY" == "exits":
        os._exit(1)
    os.kill(os.getpid(), signal.SIGALRM)


threading.Thread(target=watch, daemon=True).start()
"""


def test_a_killed_harness_leaves_a_result(launch: Launch, tmp_path: Path, runtime: str) -> None:
    scenario(tmp_path, "pause: redis")
    process = launch(tmp_path, ["--scenario=hanging", f"--gameday-runtime={runtime}"])
    journal = wait_for(tmp_path, "EffectProven", process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    give_up = time.monotonic() + 2 * _END_LIMIT_S
    while not (journal.parent / "result.json").exists() and time.monotonic() < give_up:
        time.sleep(0.1)
    result = result_of(journal)
    assert (result["verdict"], result["clean"], result["scenario"]) == ("ERROR", [], "hanging")
    assert "the harness is gone" in str(result["reason"])
