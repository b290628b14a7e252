"""An ordinary Python error in a scenario is an error of the harness, told in one line."""

from pathlib import Path
from typing import NoReturn

import pytest

from gameday.engine import session
from gameday.plugin import collection

SCENARIO = """
scenario: mine
title: A scenario of my own
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
faults:
  - {kill: redis, for: 1s}
expect:
  - recovery: "<= 8s"
"""


def deep(left: int = 200) -> NoReturn:
    if left:
        deep(left - 1)
    raise OSError("no such \x1b[31mfile\n/proc/self/stat")


@pytest.fixture
def mine(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "scenarios").mkdir()
    (pytester.path / "scenarios" / "mine.yaml").write_text(SCENARIO)
    return pytester


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)


@pytest.mark.parametrize("breaks", ["make_plan", "make_environment", "Conductor"])
def test_it_is_an_error_of_one_line_that_names_the_traceback(
    mine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    monkeypatch.setattr(session, breaks, lambda *_, **__: deep())
    result = run(mine, "--scenario=mine", "--gameday-runtime=process")
    result.assert_outcomes(errors=1)
    (line,) = [line for line in result.outlines if line.startswith("ERROR  gameday itself")]
    told, _, log = line.partition("; the traceback is in ")
    assert told.startswith("ERROR  gameday itself failed, OSError: no such")
    assert "\x1b" not in told
    assert Path(log).read_text().count("deep(left - 1)") > 0
    assert len(result.outlines) < 25


def test_a_users_own_test_gets_that_line_as_well(
    mine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "make_plan", lambda *_: deep())
    mine.makepyfile("def test_it(gameday): gameday('mine')")
    result = run(mine)
    assert any("gameday itself failed, OSError" in line for line in result.outlines)
    assert len(result.outlines) < 40


def test_what_breaks_while_a_file_is_read_is_told_with_its_place(
    mine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "load", lambda *_: deep())
    result = run(mine, "--scenario=mine", "--gameday-runtime=process")
    lines = [*result.outlines, *result.errlines]
    (line,) = [line for line in lines if "gameday itself failed" in line]
    assert "at test_broken_harness.py:" in line
    assert len(lines) < 25
