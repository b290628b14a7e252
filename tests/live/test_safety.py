"""How far a run may go: stop conditions, the exposure of a fault, and a host in quarantine."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import psutil
import pytest

from gameday.cleanup.labels import labelled_processes

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_SCENARIO = """
scenario: careful
title: A fault that is undone before its time
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 90%", p99: "<= 500ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
safety: {stop: {success: "< 50%", for: 1s}}
faults:
  - kill: redis
    for: 20s
    EXTRA
expect:
  - recovery: "<= 15s"
"""
_RUN_LIMIT_S = 90


class Fault(TypedDict):
    window: dict[str, int]
    measured: dict[str, int]
    proven: bool
    undone: bool


class Finding(TypedDict):
    name: str
    samples: int


class Found(TypedDict):
    verdict: str
    reason: str
    faults: list[Fault]
    expectations: list[dict[str, str]]
    findings: list[Finding]
    clean: list[str]


def run(launch: Launch, folder: Path, runtime: str, scenario: str) -> tuple[str, Found]:
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "careful.yaml").write_text(scenario)
    process = launch(folder, ["--scenario=careful", f"--gameday-runtime={runtime}"])
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)
    (result,) = folder.glob("reports/*/result.json")
    found: Found = json.loads(result.read_text())
    return output, found


def run_two(launch: Launch, folder: Path) -> tuple[int, str]:
    """Run two scenarios in one session; return its exit code and what it printed."""
    (folder / "scenarios").mkdir()
    scenario = _SCENARIO.replace("for: 20s", "for: 500ms").replace("    EXTRA\n", "")
    for name in ("careful", "later"):
        text = scenario.replace("scenario: careful", f"scenario: {name}")
        (folder / "scenarios" / f"{name}.yaml").write_text(text)
    process = launch(folder, ["--scenario=careful,later", "--gameday-runtime=process"])
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)
    return process.returncode, output


@pytest.mark.sample("process")
@pytest.mark.alone
def test_a_stop_condition_heals_at_once_and_what_follows_is_measured(
    launch: Launch, tmp_path: Path, runtime: str
) -> None:
    output, result = run(launch, tmp_path, runtime, _SCENARIO.replace("EXTRA", "exposure: 10"))
    assert result["verdict"] == "INCONCLUSIVE", output
    assert "= 1 failed in " in output
    assert "stopped before its end: success was" in result["reason"]
    (fault,) = result["faults"]
    lasted_ns = fault["window"]["end_ns"] - fault["window"]["start_ns"]
    assert lasted_ns < 5_000_000_000
    assert fault["proven"]
    assert fault["undone"]
    (judgement,) = result["expectations"]
    assert judgement["verdict"] == "PASS", "it came back, and that was measured"


def test_a_fault_that_met_too_little_of_the_load_proves_nothing(
    launch: Launch, tmp_path: Path
) -> None:
    scenario = _SCENARIO.replace("for: 20s", "for: 500ms").replace("EXTRA", "exposure: 1000")
    output, result = run(launch, tmp_path, "process", scenario)
    assert result["verdict"] == "INVALID", output
    assert "= 1 failed in " in output
    (fault,) = result["faults"]
    assert 30 <= fault["measured"]["operations_exposed"] < 1000


@pytest.mark.parametrize(
    ("runtime", "fault", "act", "words"),
    [
        (
            "process",
            "pause",
            "os.kill(service.process_state().pid, signal.SIGCONT)",
            "took effect but did not last: process",
        ),
        (
            "docker",
            "pause",
            "service.container.unpause()",
            "took effect but did not last: its control group was running",
        ),
        (
            "process",
            "kill",
            "service.start_again()",
            "took effect, but was no longer active when it was due to be undone",
        ),
    ],
    indirect=["runtime"],
)
def test_a_fault_that_somebody_else_ended_proves_nothing(
    launch: Launch, tmp_path: Path, runtime: str, fault: str, act: str, words: str
) -> None:
    (tmp_path / "conftest.py").write_text(_SOMEBODY_ELSE.replace("VERB", fault) + act)
    scenario = _SCENARIO.replace("kill: redis", f"{fault}: redis")
    scenario = scenario.replace("for: 20s", "for: 900ms").replace("    EXTRA\n", "")
    output, result = run(launch, tmp_path, runtime, scenario)
    assert result["verdict"] == "INVALID", output
    assert words in result["reason"]
    (seen,) = result["faults"]
    assert (seen["proven"], seen["undone"]) == (False, True)
    assert seen["measured"]["in_at_end"] is False
    assert "EFFECT NOT PROVEN" in output


@pytest.mark.alone  # another test's dead run could not be removed either, and nothing would start
def test_beside_the_remains_of_a_run_nothing_is_started(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_NO_FOLDER_GOES)
    _, output = run_two(launch, tmp_path)
    (result,) = tmp_path.glob("reports/*/result.json")
    found = json.loads(result.read_text())
    for left in found["clean"]:
        shutil.rmtree(left.removeprefix("folder "), ignore_errors=True)  # another run heals
    assert found["verdict"] == "ERROR"
    assert "nothing more is started beside it" in output


@pytest.mark.parametrize(
    ("broken", "why", "proven", "undone"),
    [
        ("undo", "the way back is blocked", True, False),
        ("inject", "half of it is in", False, True),
    ],
)
def test_an_error_of_the_harness_discards_no_measurement(
    launch: Launch, tmp_path: Path, broken: str, why: str, proven: bool, undone: bool
) -> None:
    conftest = _A_CALL_FAILS.replace("CALL", broken).replace("WHY", why)
    (tmp_path / "conftest.py").write_text(conftest)
    scenario = _SCENARIO.replace("for: 20s", "for: 500ms").replace("    EXTRA\n", "")
    output, result = run(launch, tmp_path, "process", scenario)
    assert result["verdict"] == "ERROR", output
    assert "= 1 error in " in output
    assert why in result["reason"]
    (fault,) = result["faults"]
    assert (fault["proven"], fault["undone"]) == (proven, undone)
    samples = {finding["name"]: finding["samples"] for finding in result["findings"]}
    assert samples["availability"] > 50, "a second of load, before and while it was in"
    assert [one["name"] for one in result["expectations"]] == ["recovery"]


_SOMEBODY_ELSE = """
import os
import signal
from threading import Timer

from gameday.registry import FAULTS

fault = FAULTS["VERB"]
whole = fault.on


def on(self, environment):
    injection = whole(self, environment)
    kind = type(injection)
    proves = kind.prove
    service = environment.service("redis")

    def prove(self, checkpoint):
        proof = proves(self, checkpoint)
        Timer(0.2, lambda: act(service)).start()
        return proof

    kind.prove = prove
    return injection


fault.on = on


def act(service):
    """

_A_CALL_FAILS = """
from gameday.registry import FAULTS

fault = FAULTS["kill"]
whole = fault.on


def on(self, environment):
    injection = whole(self, environment)
    kind = type(injection)
    call = kind.CALL

    def fails(self):
        call(self)
        raise RuntimeError("WHY")

    kind.CALL = fails
    return injection


fault.on = on
"""


def test_what_cannot_be_looked_at_is_not_clean(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_NOBODY_LOOKS)
    scenario = _SCENARIO.replace("for: 20s", "for: 500ms").replace("    EXTRA\n", "")
    output, result = run(launch, tmp_path, "process", scenario)
    assert result["verdict"] == "ERROR", output
    assert result["clean"] == ["leftovers could not be checked"]
    (journal,) = tmp_path.glob("reports/*/journal.jsonl")
    started = journal.read_text().partition(", run ")[2][:8]
    assert not list(labelled_processes(started)), "the janitor has removed what the run did not"


_NOBODY_LOOKS = """
from gameday.runtimes.process.environment import ProcessEnvironment


def fails(self):
    raise OSError("out of reach")


ProcessEnvironment.stop = ProcessEnvironment.leftovers = fails
"""


def test_a_fault_whose_janitor_is_gone_is_healed_at_once(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    scenario = _SCENARIO.replace("    EXTRA\n", "").replace("safety:", "# safety:")
    (tmp_path / "scenarios" / "careful.yaml").write_text(scenario)
    process = launch(tmp_path, ["--scenario=careful", "--gameday-runtime=process"])
    wait_for(tmp_path, "EffectProven")
    (supervisor,) = [
        child
        for child in psutil.Process(process.pid).children()
        if "gameday.cleanup.supervisor" in child.cmdline()
    ]
    supervisor.kill()
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)
    (file,) = tmp_path.glob("reports/*/result.json")
    result: Found = json.loads(file.read_text())
    assert result["verdict"] == "ERROR", output
    assert "the janitor" in result["reason"]
    (fault,) = result["faults"]
    assert fault["window"]["end_ns"] - fault["window"]["start_ns"] < 5_000_000_000, "not 20 s"
    assert result["clean"] == []


def test_a_signal_during_the_analysis_ends_the_session(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_INTERRUPTED)
    code, output = run_two(launch, tmp_path)
    assert code == pytest.ExitCode.INTERRUPTED, output
    (report,) = tmp_path.glob("reports/*")
    assert (report / "result.json").exists(), "what was measured by then is judged"


_INTERRUPTED = """
import os
import signal

from gameday.engine import conductor

whole = conductor.analyse


def interrupted(*observed):
    os.kill(os.getpid(), signal.SIGINT)
    return whole(*observed)


conductor.analyse = interrupted
"""


def wait_for(folder: Path, text: str) -> None:
    give_up = time.monotonic() + _RUN_LIMIT_S
    while time.monotonic() < give_up:
        if any(text in journal.read_text() for journal in folder.glob("reports/*/journal.jsonl")):
            return
        time.sleep(0.05)
    pytest.fail(f"never came to {text}")


_NO_FOLDER_GOES = """
from types import SimpleNamespace
from gameday.cleanup import reaper as reaping
from gameday.cleanup.supervisor import SupervisorProcess

SupervisorProcess.abandon = SupervisorProcess.dismiss  # which has hands of its own
reaping.shutil = SimpleNamespace(rmtree=lambda folder, ignore_errors: None)
"""
