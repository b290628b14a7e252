"""The main job as a user runs it: real servers, a real kill, and defects that must be found out."""

from __future__ import annotations

import json
import re
import signal
import struct
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.conftest import Snapshots

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]


_JOB = ["--scenario=redis-restart"]
_RUN_LIMIT_S = 240
_STOP_LIMIT_S = 10
_HEAL_LIMIT_S = 5
_ROW = struct.Struct("<qqqIHBB")
_OK = 1


@dataclass(frozen=True)
class Finished:
    """A pytest that has ended, and the runs that it left behind."""

    status: int
    output: str
    runs: list[Path]

    def result(self, label: str = "") -> dict[str, object]:
        (run,) = [run for run in self.runs if run.name.endswith(label)]
        found: dict[str, object] = json.loads((run / "result.json").read_text())
        return found


def finish(folder: Path, process: subprocess.Popen[str], limit_s: float) -> Finished:
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        pytest.fail(f"it did not end within {limit_s} s:\n{output}")
    return Finished(process.returncode, output, sorted(folder.glob("reports/*")))


Run = Callable[[list[str]], Finished]


@pytest.fixture
def run(launch: Launch, tmp_path: Path, runtime: str) -> Run:
    """Run the scenario in an empty folder, to its end."""

    def to_its_end(arguments: list[str]) -> Finished:
        process = launch(tmp_path, [*_JOB, f"--gameday-runtime={runtime}", *arguments])
        return finish(tmp_path, process, _RUN_LIMIT_S)

    return to_its_end


def findings(result: dict[str, object]) -> dict[str, dict[str, float | None]]:
    listed = result["findings"]
    assert isinstance(listed, list)
    return {finding["name"]: finding for finding in listed}


def verdicts(result: dict[str, object]) -> dict[str, str]:
    listed = result["expectations"]
    assert isinstance(listed, list)
    return {expectation["name"]: expectation["verdict"] for expectation in listed}


@pytest.mark.alone
def test_a_restart_is_measured_judged_and_cleaned_up(
    run: Run, tmp_path: Path, runtime: str, snapshots: Snapshots
) -> None:
    done = run(["--junitxml=junit.xml", "--alluredir=allure"])

    assert done.status == 0, done.output
    result = done.result()
    assert (result["verdict"], result["runtime"], result["clean"]) == ("PASS", runtime, [])
    faults = result["faults"]
    assert isinstance(faults, list)
    (fault,) = faults
    assert (fault["proven"], fault["undone"]) == (True, True)
    assert fault["measured"]["exit_code"] == 137
    assert fault["measured"]["started_before"] != fault["measured"]["started_after"]
    assert fault["measured"]["outage_actual_ns"] >= fault["asked"]["for_ns"]
    marks = result["marks"]
    assert isinstance(marks, dict)
    assert marks["t0"] <= marks["t1"] <= marks["t3"] <= marks["t4"] <= marks["t5"] <= marks["t6"]
    found = findings(result)
    recovery = found["recovery"]
    assert 2e9 < recovery["low"] <= recovery["value"] <= recovery["high"] < 6e9  # type: ignore[operator]
    assert found["lost"]["value"] == 0
    assert found["lost"]["samples"] > 1000  # type: ignore[operator]
    assert result["proxy_share"] is not None
    left = {path.name for path in done.runs[0].iterdir()}
    assert left >= {
        "plan.json", "journal.jsonl", "history.bin", "history.json", "result.json", "logs",
        "timeline.svg", "undo.jsonl", "record.csv",
    }  # fmt: skip
    assert_junit(tmp_path / "junit.xml")
    assert_allure(tmp_path / "allure")
    if runtime == "process":
        assert_files_are_as_users_know_them(done.runs[0], snapshots)
        assert_reports_are_as_users_know_them(tmp_path, snapshots)


@pytest.mark.full
@pytest.mark.alone
def test_gamedays_own_proxy_does_the_main_job_in_docker(
    launch: Launch, tmp_path: Path, docker_engine: object
) -> None:
    arguments = [*_JOB, "--gameday-runtime=docker", "--gameday-proxy=own"]
    done = finish(tmp_path, launch(tmp_path, arguments), _RUN_LIMIT_S)

    assert done.status == 0, done.output
    result = done.result()
    assert (result["verdict"], result["runtime"], result["clean"]) == ("PASS", "docker", [])
    assert json.loads((done.runs[0] / "plan.json").read_text())["proxy"] == "own"
    assert findings(result)["recovery"]["high"] < 6e9  # type: ignore[operator]


_PER_FINDING = ("value", "low", "high")
_MEASURED = (
    *(f"{one}.{name}" for one in ("findings[]", "proxy_share") for name in _PER_FINDING),
    *(f"host.{name}" for name in ("busy", "steal", "crowding", "cpu_pressure", "io_pressure")),
    *(f"series.{name}[]" for name in ("p50_ns", "p99_ns")),
    "outages[].end_ns",
)
_LABELS_OF_ALLURE = ("host", "thread", "framework", "language", "package")


def assert_files_are_as_users_know_them(folder: Path, snapshots: Snapshots) -> None:
    """The files of a run by their keys and types, and the words that programs look for."""
    snapshots.text("run-files.txt", "\n".join(sorted(path.name for path in folder.iterdir())))
    result = json.loads((folder / "result.json").read_text())
    result["guards"] = ["a host that is busy"]
    snapshots.shape(
        "run-result.txt",
        result,
        keep=("schema_version", "verdict", "runtime", "fault", "name", "sla", "severity"),
        measured=_MEASURED,
        more="\n".join(f"unit of {each['name']}: {each['unit']}" for each in result["findings"]),
    )
    snapshots.shape(
        "run-plan.txt",
        json.loads((folder / "plan.json").read_text()),
        keep=("runtime", "proxy", "fault", "name", "client", "edge"),
    )
    snapshots.shape(
        "run-history.txt",
        json.loads((folder / "history.json").read_text()),
        keep=("row_bytes", "row_fields", "pending", "ok", "failed", "unknown"),
    )
    snapshots.shape("run-undo.txt", lines_of(folder / "undo.jsonl"), keep=("state", "fault"))
    events: dict[str, list[object]] = {}
    phases = []
    for event in lines_of(folder / "journal.jsonl"):
        events.setdefault(str(event["event"]), []).append(event)
        phases += [str(event["phase"])] if event["event"] == "PhaseEntered" else []
    snapshots.shape("run-journal.txt", events, more=f"phases: {', '.join(phases)}")


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_reports_are_as_users_know_them(folder: Path, snapshots: Snapshots) -> None:
    """What dashboards find in JUnit's file and in Allure's, by name."""
    case = ET.parse(folder / "junit.xml").getroot().find(".//testcase")
    assert case is not None
    told = [f"class {case.get('classname')}"]
    for each in case.iter("property"):
        name, value = str(each.get("name")), str(each.get("value"))
        numbers = re.sub(r"(value|low|high|samples)=\S+", r"\1=NUMBER", value)
        told.append(f"{name}: {numbers}" if name.startswith("gameday.finding.") else name)
    snapshots.text("run-junit.txt", "\n".join(told))
    (test,) = [json.loads(path.read_text()) for path in (folder / "allure").glob("*-result.json")]
    told = sorted(
        f"label {each['name']}: {each['value']}"
        for each in test["labels"]
        if each["name"] not in _LABELS_OF_ALLURE
    )
    told += [f"parameter {each['name']}" for each in test["parameters"]]
    told += [f"link {each['type']} {each['url']}" for each in test["links"]]
    told += [f"step {each['name']}" for each in test["steps"] if each["name"][:1].isdigit()]
    attached = sorted((each["name"], each["type"]) for each in test["attachments"])
    told += [f"attachment {name} {kind}" for name, kind in attached if "logs/" not in name]
    snapshots.text("run-allure.txt", "\n".join(told))


def assert_junit(path: Path) -> None:
    case = ET.parse(path).getroot().find(".//testcase[@name='redis-restart']")
    assert case is not None
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert any("verdict" in str(name) and value == "PASS" for name, value in properties.items())
    assert any("recovery" in str(name) for name in properties)


def assert_allure(folder: Path) -> None:
    (test,) = [json.loads(p.read_text()) for p in folder.glob("*-result.json")]
    assert test["status"] == "passed"
    assert len([step for step in test["steps"] if step["name"][:1].isdigit()]) == 9
    assert {"timeline.svg", "journal.jsonl", "result.json"} <= {
        attachment["name"] for attachment in test["attachments"]
    }
    assert any(label["name"] == "severity" for label in test["labels"])
    assert any("002_576c939d27691360.txt" in link["url"] for link in test["links"])


@pytest.mark.sample("process")
@pytest.mark.alone
def test_a_kill_that_does_nothing_is_invalid(run: Run, tmp_path: Path, runtime: str) -> None:
    done = run(["--gameday-sabotage", "-k", "no-kill"])

    assert done.status == 0, done.output
    result = done.result("no-kill")
    assert result["verdict"] == "INVALID"
    assert "kill" in str(result["reason"])
    assert result["clean"] == []


@pytest.mark.sample("docker")
@pytest.mark.alone
def test_lost_signals_are_counted_exactly(run: Run, tmp_path: Path, runtime: str) -> None:
    done = run(["--gameday-sabotage", "-k", "persistence"])

    assert done.status == 0, done.output
    result = done.result("no-persistence+push")
    (folder,) = done.runs
    acknowledged = set(acknowledged_signals(folder))
    record = (folder / "record.csv").read_text().splitlines()[1:]
    received = {int(line.split(",")[0]) for line in record}
    assert len(acknowledged - received) > 0
    assert findings(result)["lost"]["value"] == len(acknowledged - received)
    assert verdicts(result)["arbees/no-message-loss"] == "FAIL"


def acknowledged_signals(folder: Path) -> Iterator[int]:
    """Read the rows as their documentation says, with nothing of ours."""
    streams = json.loads((folder / "history.json").read_text())["streams"]
    (publish,) = [stream["index"] for stream in streams if stream["name"] == "publish"]
    for _, _, _, value, _, stream, outcome in _ROW.iter_unpack(
        (folder / "history.bin").read_bytes()
    ):
        if stream == publish and outcome == _OK:
            yield value


_GIVEN_UP = """
scenario: given-up
title: Redis restarts, and is given a short time to be used again
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 200/s, deadline: 1s}
steady: {success: ">= 99%", p99: "<= 500ms", for: 2s}
timeline: {baseline: 2s, recovery: 8s, quiet: 500ms}
faults:
  - {kill: redis, for: 1s}
expect:
  - recovery: "<= 5s"
sabotage:
  - {disable: reconnect, breaks: recovery}
"""


def test_a_listener_that_gives_up_never_recovers(
    launch: Launch, tmp_path: Path, runtime: str
) -> None:
    (tmp_path / "given-up.yaml").write_text(_GIVEN_UP)
    arguments = ["--scenario=./given-up.yaml", f"--gameday-runtime={runtime}"]
    process = launch(tmp_path, [*arguments, "--gameday-sabotage"])
    done = finish(tmp_path, process, _RUN_LIMIT_S)
    assert done.status == 0, done.output
    result = done.result("no-reconnect")
    assert (result["verdict"], verdicts(result)) == ("FAIL", {"recovery": "FAIL"})
    recovery = findings(result)["recovery"]
    assert recovery["value"] is None
    assert recovery["low"] >= 8e9  # type: ignore[operator]


@pytest.mark.full
def test_a_listener_that_gives_up_breaks_the_promised_recovery(
    launch: Launch, tmp_path: Path, docker_engine: object
) -> None:
    """Both environments at once: nearly all of the time is spent waiting for two minutes."""
    started = {}
    for runtime in ("process", "docker"):
        (tmp_path / runtime).mkdir()
        arguments = ("--gameday-sabotage", "-k", "reconnect")
        started[runtime] = launch(
            tmp_path / runtime, [*_JOB, f"--gameday-runtime={runtime}", *arguments]
        )
    for runtime, process in started.items():
        done = finish(tmp_path / runtime, process, _RUN_LIMIT_S)
        assert done.status == 0, done.output
        result = done.result("no-reconnect")
        assert result["verdict"] == "FAIL"
        assert verdicts(result)["arbees/mttr"] == "FAIL"
        assert findings(result)["recovery"]["value"] is None
        assert findings(result)["recovery"]["low"] >= 120e9  # type: ignore[operator]


@pytest.mark.sample("break-2", "start")
@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("start", signal.SIGTERM),
        ("baseline", signal.SIGINT),
        ("baseline", signal.SIGHUP),
        ("break", signal.SIGINT),
        ("break", signal.SIGTERM),
        ("recover", signal.SIGINT),
        ("settle", signal.SIGTERM),
    ],
)
def test_a_signal_at_any_moment_leaves_nothing_but_the_reports(
    launch: Launch, tmp_path: Path, runtime: str, phase: str, number: signal.Signals
) -> None:
    process = launch(tmp_path, [*_JOB, f"--gameday-runtime={runtime}", "--gameday-set=outage=1s"])
    journal = wait_for_phase(tmp_path, phase, process)
    family = psutil.Process(process.pid).children(recursive=True)
    asked = time.monotonic()
    process.send_signal(number)
    done = finish(tmp_path, process, _STOP_LIMIT_S)

    assert time.monotonic() - asked < _STOP_LIMIT_S
    assert done.status == pytest.ExitCode.INTERRUPTED, done.output
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert "nothing is left" in events[-1]["text"]
    (zero,) = [e["text"] for e in events if "CLOCK_MONOTONIC" in e.get("text", "")]
    zero_s = int(zero.partition("is ")[2].split()[0]) / 1e9
    healed_s = [zero_s + e["at_ns"] / 1e9 for e in events if e["event"] == "UndoProven"]
    assert all(at_s - asked < _HEAL_LIMIT_S for at_s in healed_s)
    assert phase != "break" or len(healed_s) == 1
    assert [child for child in family if child.is_running()] == []
    assert leftovers_in_docker(journal) == []
    result = done.result()
    assert (result["verdict"], result["clean"], result["expectations"]) == ("ERROR", [], [])
    assert f"interrupted by {number.name} during {phase}" in str(result["reason"])


def wait_for_phase(folder: Path, phase: str, process: subprocess.Popen[str]) -> Path:
    # A signal right before a fault leaves nothing to heal.
    text = "FaultInjected" if phase == "break" else f'"phase": "{phase}"'
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and process.poll() is None:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if text in journal.read_text():
                return journal
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"never came to {phase}:\n{process.communicate()[0]}")


def leftovers_in_docker(journal: Path) -> list[str]:
    """Return what carries the label of the journal's run, by the engine's own client."""
    import docker

    if json.loads((journal.parent / "plan.json").read_text())["runtime"] != "docker":
        return []
    label = f"gameday.run={journal.read_text().partition(', run ')[2][:8]}"
    client = docker.from_env(timeout=30)
    try:
        only_ours: dict[str, str | list[str] | bool] = {"label": label}
        left = [str(c.name) for c in client.containers.list(all=True, filters=only_ours)]
        left += [str(n.name) for n in client.networks.list(filters={"label": label})]
        return left
    finally:
        client.close()
