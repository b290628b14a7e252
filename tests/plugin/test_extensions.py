"""What a conftest.py adds by hooks, and what a session makes of an extension that is broken."""

from pathlib import Path

import pytest

# pytester forgets the modules that a run in this process imports; numpy cannot be imported twice.
import gameday.plugin.collection
import gameday.plugin.extensions
import gameday.plugin.items  # noqa: F401
from gameday.registry import FAULTS, registry

SCENARIO = """
scenario: mine
title: A fault and a finding of a conftest.py
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
timeline: {baseline: 2s, recovery: 10s, quiet: 1s}
faults:
  - VERB: redis
    for: 1s
expect:
  - sighs: "== 0"
"""
HOOKS = """
from dataclasses import dataclass
from typing import ClassVar

from gameday import Finding, FindingKind, Technology, Unit

@dataclass(frozen=True, slots=True, kw_only=True)
class Sigh:
    \"\"\"A service sighs.\"\"\"
    verb: ClassVar[str] = "sigh"
    hits: ClassVar[str] = "service"
    target: str

    def on(self, environment):
        raise NotImplementedError

def count(observation):
    return Finding.count("sighs", 0, samples=1, evidence="nobody sighed")

def pytest_gameday_technologies():
    return [Technology(name="lungs", faults=(Sigh,))]

def pytest_gameday_findings(config):
    return [FindingKind(name="sighs", unit=Unit.COUNT, find=count)]
"""


@pytest.fixture
def mine(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "scenarios").mkdir()
    scenario(pytester, "sigh")
    pytester.makeconftest(HOOKS)
    return pytester


def scenario(pytester: pytest.Pytester, verb: str) -> Path:
    path = pytester.path / "scenarios" / "mine.yaml"
    path.write_text(SCENARIO.replace("VERB", verb))
    return path


def plan(pytester: pytest.Pytester, *more: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--gameday-plan", "--gameday-runtime=process", *more
    )


def said(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def test_a_conftest_adds_faults_and_findings_for_its_session(mine: pytest.Pytester) -> None:
    result = plan(mine, "--scenario=mine")
    assert "sigh redis (met by publish)" in said(result)
    assert "sighs == 0" in said(result)
    assert "sigh" not in FAULTS, "the session is over"
    assert registry().additions == ()


def test_a_scenario_that_is_given_by_its_path_knows_them_as_well(mine: pytest.Pytester) -> None:
    assert "sigh redis (met by publish)" in said(plan(mine, "scenarios/mine.yaml"))


def test_a_misspelt_verb_of_an_extension_is_told_the_nearest(mine: pytest.Pytester) -> None:
    scenario(mine, "sighh")
    assert "nearest: 'sigh'" in said(plan(mine, "--scenario=mine"))


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        (
            "def pytest_gameday_faults(): return [object]",
            "conftest.py: <class 'object'> is no class of a Fault; repair or uninstall it",
        ),
        (
            (
                "def pytest_gameday_technologies(config):\n"
                "    import gameday; return [gameday.Technology(name='redis')]"
            ),
            "conftest.py: adds the technology 'redis', which comes with pytest-gameday",
        ),
        (
            "def pytest_gameday_findings(config): return None",
            "pytest_gameday_findings returned None; wanted a list",
        ),
    ],
)
def test_what_cannot_be_used_is_a_usage_error_in_one_line(
    pytester: pytest.Pytester, hook: str, text: str
) -> None:
    pytester.makeconftest(hook)
    result = plan(pytester, "--scenario=redis-restart")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in said(result).splitlines() if text in line)
    assert line.startswith("ERROR: ")
    assert "Traceback" not in said(result)


def test_hooks_cost_a_run_without_a_scenario_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_gameday_faults(): raise SystemExit('it was called')")
    pytester.makepyfile("def test_mine(): pass")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
