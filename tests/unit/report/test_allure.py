"""What a report of allure-pytest holds of a custom item that tells AllureReporter of a run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import pytest

from gameday.model.event import EffectProven, Event, Note, Phase, event_to_json
from gameday.model.result import Result
from gameday.model.verdict import Verdict
from gameday.report.json import result_to_json

SECOND_MS = 1_000
OFFSET_S = 1_700_000_000
RUN_AT_MS = (OFFSET_S + 100) * SECOND_MS
"""When the synthetic run began, by the wall clock."""

CONFTEST = """
import pytest
from pathlib import Path
from gameday.report.journal import read_journal
from gameday.report.json import read_result


class NotJudged(Exception):
    pass


class Experiment(pytest.Item):
    def runtest(self):
        from gameday.report.allure import AllureReporter
        folder = self.path.parent
        offset_ns = None if folder.name == "without-offset" else OFFSET_S * 10**9
        reporter = AllureReporter(tags=["nightly"], wall_minus_monotonic_ns=offset_ns)
        try:
            for event in read_journal(folder / "events.jsonl"):
                reporter.on_event(event)
            if not (folder / "given.json").exists():
                raise NotJudged("the run broke off")
            result = read_result(folder / "given.json")
            reporter.on_result(result)
        finally:
            reporter.close()
        if result.verdict == "FAIL":
            raise AssertionError(result.reason)
        if result.verdict != "PASS":
            raise NotJudged(result.reason)

    def repr_failure(self, excinfo, style=None):
        return "the failure text"


class ScenarioFile(pytest.File):
    def collect(self):
        yield Experiment.from_parent(self, name="redis-restart[2s]")


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".yaml":
        return ScenarioFile.from_parent(parent, path=file_path)
"""


class Named(TypedDict):
    name: str
    value: str
    excluded: NotRequired[bool]


class Step(TypedDict):
    name: str
    status: str
    start: int
    stop: int
    steps: NotRequired[list["Step"]]
    parameters: NotRequired[list[Named]]
    statusDetails: NotRequired[dict[str, str]]


class Link(TypedDict):
    name: str
    type: str
    url: str


class Attachment(TypedDict):
    name: str
    type: str
    source: str


class Case(Step):
    labels: list[Named]
    links: list[Link]
    attachments: list[Attachment]
    description: str
    historyId: str


Told = tuple[Sequence[Event], Result | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What allure-pytest wrote of several tests, each in a folder of its name."""

    cases: Mapping[str, Case]
    folder: Path
    began_ms: int
    ended_ms: int


def _reported(root: Path, told: Mapping[str, Told]) -> Reported:
    """Run pytest with a test for each of these events and results.

    In a process of its own, because allure-pytest's listeners are global to a process.
    """
    (root / "conftest.py").write_text(CONFTEST.replace("OFFSET_S", str(OFFSET_S)))
    (root / "pytest.ini").write_text("[pytest]\n")
    for name, (events, result) in told.items():
        folder = root / name
        folder.mkdir()
        lines = "".join(event_to_json(event) + "\n" for event in events)
        (folder / "events.jsonl").write_text(lines)
        if result is not None:
            (folder / "given.json").write_text(result_to_json(result))
        (folder / "redis-restart.yaml").write_text("scenario: redis-restart\n")
    began_ms = time.time_ns() // 1_000_000
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:gameday", "--alluredir=allure"],
        cwd=root,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    out = root / "allure"
    written = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*-result.json")]
    assert len(written) == len(told), done.stdout
    passed = sum(r is not None and r.verdict is Verdict.PASS for _, r in told.values())
    assert done.stdout.count(" passed") == bool(passed), done.stdout
    return Reported(
        cases={case["titlePath"][0]: cast(Case, case) for case in written},
        folder=out,
        began_ms=began_ms,
        ended_ms=time.time_ns() // 1_000_000,
    )


WILD = "::error::a\x1b[31m\u202eb\n##vso[c]"


@pytest.fixture(scope="module")
def reported(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], result: Result
) -> Reported:
    """Return what is written of every run that the tests look at, from one session."""
    root = tmp_path_factory.mktemp("reported")
    given = replace(result, expectations=(), folder="")
    noops = [replace(e, proven=False) if isinstance(e, EffectProven) else e for e in events]
    early = [e for e in events if e.phase not in {Phase.BREAK, Phase.RECOVER}]
    note = Note(at_ns=events[-1].at_ns, phase=Phase.JUDGE, text=WILD)
    wild = replace(result, scenario=WILD, title=WILD, reason=WILD, parameters={"a": WILD})
    inconclusive = replace(result, verdict=Verdict.INCONCLUSIVE, folder="", faults=())
    return _reported(
        root,
        {
            **{v.value: (events, replace(given, verdict=v)) for v in Verdict},
            "run": (events, _with_folder(result, root)),
            "wild": ([*events, note], replace(wild, folder="")),
            "noop": (noops, replace(result, verdict=Verdict.INVALID, folder="")),
            "early": (early, inconclusive),
            "broke-off": ([e for e in events if e.phase.number <= Phase.START.number], None),
            "without-offset": (events, replace(result, folder="")),
        },
    )


def _with_folder(result: Result, root: Path) -> Result:
    """Return the result with a run folder that has a journal and logs."""
    folder = root / "kept"
    (folder / "logs").mkdir(parents=True)
    (folder / "journal.jsonl").write_text('{"event": "Note"}\n')
    (folder / "logs" / "redis.log").write_text("x" * (1 << 20) + "the end\n")
    return replace(result, folder=str(folder))


def _all(step: Step) -> Iterator[Step]:
    for child in step.get("steps", []):
        yield child
        yield from _all(child)


def _named(case: Step, start: str) -> Step:
    (step,) = [step for step in _all(case) if step["name"].startswith(start)]
    return step


def test_a_run_is_nine_steps_with_the_times_of_its_events(reported: Reported) -> None:
    case = reported.cases["run"]
    names = [step["name"] for step in case["steps"]]
    assert names == [f"{phase.number}/9 {phase.value}" for phase in Phase]
    baseline, broken = case["steps"][3], case["steps"][4]
    assert (baseline["start"], baseline["stop"]) == (RUN_AT_MS + 1_200, RUN_AT_MS + 6_200)
    assert (broken["start"], broken["stop"]) == (RUN_AT_MS + 6_200, RUN_AT_MS + 8_310)

    fault = _named(broken, "kill redis")
    assert (fault["start"], fault["stop"]) == (RUN_AT_MS + 6_199, RUN_AT_MS + 8_306)
    assert [step["name"] for step in fault["steps"]] == [
        "undo recorded: start redis",
        "injected",
        "effect proven: exit signal 9, gone after 2 ms",
        "undone",
        "undo proven: write confirmed yes",
    ]
    assert {"name": "signal", "value": "SIGKILL"} in fault["parameters"]
    assert {step["status"] for step in (fault, broken, baseline)} == {"passed"}

    judged = {s["name"].split(":")[0]: s for s in case["steps"][8]["steps"]}
    assert {name: step["status"] for name, step in judged.items()} == {
        "arbees/mttr": "passed",
        "arbees/no-message-loss": "failed",
        "availability": "broken",
    }
    lost = judged["arbees/no-message-loss"]
    assert lost["statusDetails"]["message"] == "FAIL: wanted == 0, seen 3, margin -3"
    assert case["steps"][8]["status"] == "failed"


def test_nothing_of_a_report_acts_on_its_reader(reported: Reported) -> None:
    case = reported.cases["wild"]
    parts = [case["labels"], case["parameters"], case["description"], case["steps"]]
    shown = json.dumps(parts, ensure_ascii=False)
    for acting in ("::error::", "\\u001b", "\u202e", "##vso["):
        assert acting not in shown, acting


def test_a_run_can_be_found_by_labels_parameters_and_links(reported: Reported) -> None:
    case = reported.cases["run"]
    labels = {(label["name"], label["value"]) for label in case["labels"]}
    assert labels >= {
        ("suite", "redis-restart"),
        ("epic", "Chaos experiments"),
        ("feature", "Redis restarts while signals are streaming"),
        ("story", "arbees/no-message-loss"),
        ("severity", "blocker"),
        ("tag", "nightly"),
        ("tag", "process"),
        ("layer", "chaos"),
        ("framework", "pytest"),
    }
    assert [label["name"] for label in case["labels"]].count("suite") == 1
    assert case["parameters"] == [
        {"name": "outage", "value": "2s"},
        {"name": "runtime", "value": "process"},
        {"name": "seed", "value": "424242", "excluded": True},
    ]
    assert [(link["type"], link["url"]) for link in case["links"]] == [
        ("sla", "002_576c939d27691360.txt#Success%20Metrics%20/%20Operational%20Metrics"),
        ("sla", "002_576c939d27691360.txt#Success%20Criteria"),
    ]
    assert case["links"][0]["name"].startswith("arbees/mttr: 002_576c939d27691360.txt")
    assert "3 acknowledged signals were lost" in case["description"]


def test_the_evidence_is_attached(reported: Reported) -> None:
    attached = {a["name"]: a for a in reported.cases["run"]["attachments"]}
    assert {name: a["type"] for name, a in attached.items()} == {
        "timeline.svg": "image/svg+xml",
        "result.json": "application/json",
        "journal.jsonl": "text/plain",
        "logs/redis.log": "text/plain",
    }

    def text_of(name: str) -> str:
        return (reported.folder / attached[name]["source"]).read_text()

    assert text_of("timeline.svg").startswith("<svg")
    assert json.loads(text_of("result.json"))["verdict"] == "FAIL"
    assert text_of("journal.jsonl") == '{"event": "Note"}\n'
    log = text_of("logs/redis.log")
    assert log.startswith("[the last 1048576 of 1048584 bytes]")
    assert log.endswith("the end\n")


def test_a_verdict_is_shown_as_the_design_says(reported: Reported, result: Result) -> None:
    cases = {verdict.value: reported.cases[verdict.value] for verdict in Verdict}
    expected = {
        "PASS": "passed",
        "FAIL": "failed",
        "INVALID": "broken",
        "INCONCLUSIVE": "broken",
        "ERROR": "broken",
    }
    assert {name: case["status"] for name, case in cases.items()} == expected
    assert {name: case["steps"][8]["status"] for name, case in cases.items()} == expected
    for name in expected.keys() - {"PASS"}:
        assert result.reason in cases[name]["statusDetails"]["message"]
        assert cases[name]["statusDetails"]["trace"] == "the failure text"


def test_a_fault_without_proof_is_a_broken_step(reported: Reported) -> None:
    broken = reported.cases["noop"]["steps"][4]
    assert _named(broken, "effect NOT PROVEN")["status"] == "broken"
    assert _named(broken, "kill redis")["status"] == "broken"
    assert broken["status"] == "broken"


def test_steps_that_a_run_never_came_to_are_skipped(reported: Reported) -> None:
    steps = reported.cases["early"]["steps"]
    assert [step["name"] for step in steps if step["status"] == "skipped"] == [
        "5/9 break (not reached)",
        "6/9 recover (not reached)",
    ]
    assert len(steps) == 9


def test_the_history_of_a_test_goes_on_with_another_seed(
    reported: Reported, tmp_path: Path, events: list[Event], result: Result
) -> None:
    again = _reported(tmp_path, {"run": (events[:1], replace(result, seed=7, folder=""))})
    assert again.cases["run"]["historyId"] == reported.cases["run"]["historyId"]


def test_a_run_that_broke_off_is_broken_in_the_step_it_was_in(reported: Reported) -> None:
    case = reported.cases["broke-off"]
    assert case["status"] == "broken"
    assert [step["status"] for step in case["steps"]] == ["passed", "passed", "broken"]
    assert case["steps"][2]["stop"] == RUN_AT_MS + 700


def test_without_an_offset_the_first_event_happens_when_it_is_told(reported: Reported) -> None:
    steps = reported.cases["without-offset"]["steps"]
    assert reported.began_ms <= steps[0]["start"] <= reported.ended_ms
    assert steps[4]["start"] - steps[0]["start"] == 6_200
