from dataclasses import replace

import pytest
from rich.console import Console

from gameday.model.result import Result
from gameday.report.table import rich_verdict_table, verdict_table


def test_each_expectation_is_one_line_with_its_verdict(result: Result) -> None:
    *lines, _ = verdict_table(result, 120).splitlines()
    for judgement in result.expectations:
        (line,) = [line for line in lines if judgement.name in line and judgement.seen in line]
        assert judgement.wanted in line
        assert judgement.margin in line
        assert line.endswith(judgement.verdict.value)


def test_the_last_line_has_verdict_reason_and_folder(result: Result) -> None:
    last = verdict_table(result, 40).splitlines()[-1]
    assert last == f"FAIL  {result.reason}  [{result.folder}]"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_keeps_its_width(result: Result, width: int) -> None:
    *table, _ = verdict_table(result, width).splitlines()
    assert max(map(len, table)) <= width


def test_plain_text_has_no_control_codes_and_no_markup(result: Result) -> None:
    named = replace(result.expectations[0], name="[bold]mttr[/bold]\x1b[31m")
    text = verdict_table(replace(result, expectations=(named,)), 120)
    assert "\x1b" not in text
    assert "[bold]mttr[/bold]" in text


def test_a_run_that_was_not_judged_is_the_closing_line_alone(result: Result) -> None:
    assert len(verdict_table(replace(result, expectations=()), 80).splitlines()) == 1


def test_the_coloured_table_says_the_same(result: Result) -> None:
    console = Console(width=140, force_terminal=True, color_system="standard", _environ={})
    with console.capture() as capture:
        console.print(rich_verdict_table(result))
    text = capture.get()
    assert "\x1b[1;31mFAIL" in text
    assert "3 acknowledged signals were lost" in text
