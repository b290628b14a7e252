"""Whose delay it was: the system's, the load driver's, or the proxy's; and what a session keeps."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_LIMIT_S = 150
_SCENARIO = """
scenario: delays
title: Something stands still
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 200/s, deadline: DEADLINE}
steady: {success: ">= 99%", p99: "<= 200ms", for: 1s}
timeline: {baseline: 1s, recovery: 20s, quiet: 500ms}
faults:
  - pause: SERVICE
    for: SPAN
expect:
  - outage: "<= 1s"
"""
_SESSION = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(4))
def test_run(gameday, number):
    gameday("delays.yaml")
    with Path("descriptors").open("a") as out:
        print(*sorted(os.readlink(fd) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()
                      and os.path.lexists(fd)), sep="\\t", file=out)
"""


def scenario(folder: Path, service: str, span: str, deadline: str = "1s") -> str:
    text = _SCENARIO.replace("SERVICE", service).replace("SPAN", span)
    text = text.replace("DEADLINE", deadline)
    path = folder / "delays.yaml"
    path.write_text(text)
    return path.name


def finished(folder: Path, process: "subprocess.Popen[str]") -> tuple[dict[str, object], str]:
    try:
        output, _ = process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        pytest.fail(f"it did not end:\n{output}")
    (run,) = folder.glob("reports/*")
    result: dict[str, object] = json.loads((run / "result.json").read_text())
    return result, output


def finding(result: dict[str, object], name: str) -> dict[str, float]:
    listed = result["findings"]
    assert isinstance(listed, list)
    (found,) = [finding for finding in listed if finding["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.alone
def test_a_service_that_is_silent_fails_and_is_not_called_a_slow_host(
    launch: Launch, tmp_path: Path
) -> None:
    """At 200/s and with a deadline of 1 s it holds 200 connections, and each has an operation."""
    name = scenario(tmp_path, "relay", "3s")
    result, output = finished(tmp_path, launch(tmp_path, [name, "--gameday-runtime=process"]))
    assert result["verdict"] == "FAIL", output
    assert finding(result, "outage")["low"] > 2e9
    assert finding(result, "schedule_lag")["value"] < 50e6
    (folder,) = tmp_path.glob("reports/*")
    errors = json.loads((folder / "history.json").read_text())["errors"]
    assert "not sent before the deadline" not in errors


@pytest.mark.parametrize(
    ("number", "for_s", "verdict"),
    [
        pytest.param(signal.SIGSTOP, 1.5, "INCONCLUSIVE", marks=pytest.mark.alone),
        (signal.SIGKILL, 0, "ERROR"),
    ],
    ids=["stopped", "dead"],
)
def test_a_proxy_that_stands_still_is_not_the_systems_outage(
    launch: Launch, tmp_path: Path, number: signal.Signals, for_s: float, verdict: str
) -> None:
    name = scenario(tmp_path, "redis", "200ms" if for_s else "20s", deadline="250ms")
    process = launch(tmp_path, [name, "--gameday-runtime=process"])
    wait_for_phase(tmp_path, "recover" if for_s else "break", process)
    proxy = proxy_of(process)
    proxy.send_signal(number)
    if for_s:
        time.sleep(for_s)
        proxy.send_signal(signal.SIGCONT)
    result, output = finished(tmp_path, process)
    assert result["verdict"] == verdict, output
    if for_s:
        assert finding(result, "proxy_stall")["value"] >= (for_s - 0.2) * 1e9
        assert finding(result, "outage")["value"] > 1e9
        assert "the proxy stalled for up to 1.5" in str(result["reason"])
    else:
        assert re.search(r"proxy server at \S+ has not answered for 5 s", str(result["reason"]))


def wait_for_phase(folder: Path, phase: str, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        if any(f'"{phase}"' in path.read_text() for path in folder.glob("reports/*/journal.jsonl")):
            return
        time.sleep(0.02)
    pytest.fail(f"never came to {phase}:\n{process.communicate(timeout=_LIMIT_S)[0]}")


def proxy_of(process: "subprocess.Popen[str]") -> psutil.Process:
    (proxy,) = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "gameday.proxy" in child.cmdline()
    ]
    return proxy


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.sample("process")
def test_a_session_of_several_runs_holds_no_more_open_after_each(
    launch: Launch, tmp_path: Path, runtime: str
) -> None:
    scenario(tmp_path, "redis", "200ms")
    (tmp_path / "test_session.py").write_text(_SESSION)
    process = launch(tmp_path, ["test_session.py", f"--gameday-runtime={runtime}"])
    output, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, output
    held = [line.split("\t") for line in (tmp_path / "descriptors").read_text().splitlines()]
    counts = [len(descriptors) for descriptors in held]
    assert len(counts) == 4, output
    # What the first run leaves is kept for all: a docker session's is the first to know an image.
    assert counts[2:] == counts[1:2] * 2, held
