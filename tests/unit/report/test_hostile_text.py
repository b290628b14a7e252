"""Whatever names, titles and services say, no report has anything in it that acts on its reader."""

from dataclasses import replace

import pytest

from gameday.model.event import Event, Note, Phase
from gameday.model.result import Result
from gameday.report.failure_report import failure_text
from gameday.report.journal import Journal, read_journal
from gameday.report.json import result_from_json, result_to_json
from gameday.report.junit import junit_properties
from gameday.report.table import verdict_table
from gameday.report.timeline import timeline_svg

WILD = "::error file=a::b\x1b[31m\x9b\u202e\u2066\ufffe\n::error::d\n##vso[task.complete]\0"


@pytest.fixture
def wild(result: Result) -> Result:
    return replace(
        result,
        scenario=WILD,
        title=WILD,
        reason=WILD,
        folder=f"reports/{WILD}",
        parameters={"outage": WILD},
        sabotage=WILD,
        guards=(WILD,),
        clean=(WILD,),
        host={"kernel": WILD},
        expectations=tuple(
            replace(judgement, seen=WILD, margin=WILD, wanted=WILD, source=WILD)
            for judgement in result.expectations
        ),
        findings=tuple(replace(finding, evidence=WILD) for finding in result.findings),
    )


def acts(text: str) -> bool:
    lines = text.split("\n")
    return not all(line.isprintable() for line in lines) or any(
        line.lstrip().startswith("::") or "##vso[" in line or "::error" in line for line in lines
    )


def test_what_is_shown_of_a_run_does_nothing(wild: Result) -> None:
    assert not acts(failure_text(wild))
    assert not acts(verdict_table(wild))
    assert not acts(timeline_svg(wild))
    assert not any(acts(name) or acts(value) for name, value in junit_properties(wild))


def test_the_files_that_keep_the_evidence_keep_the_text(
    wild: Result, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert result_from_json(result_to_json(wild)).title == WILD
    path = tmp_path_factory.mktemp("run") / "journal.jsonl"
    note: Event = Note(at_ns=0, phase=Phase.LOAD, text=WILD)
    with Journal(path) as journal:
        journal.on_event(note)
    assert "\x1b" not in path.read_text()
    assert read_journal(path) == [note]
