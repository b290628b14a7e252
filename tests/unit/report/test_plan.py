"""A plan for people says what is not as usual, in their words, and nothing that looks set."""

from dataclasses import replace
from pathlib import Path

import pytest

from gameday.engine.planning import Options, load, make_plan
from gameday.model.plan import Plan
from gameday.report.plan import plan_text

SCENARIO = """
scenario: mine
title: A scenario of my own
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
timeline: {baseline: 2s, recovery: 10s, quiet: 1s}
faults:
  - clock-offset: relay
    offset: -5min
    for: 2s
  - io-throttle: redis
    write: 2MB/s
    at: 3s
    for: 3s
  - maxmemory: redis
    of_used: 50%
    at: 7s
    for: 2s
  - partition: redis | relay, listener
    at: 10s
    for: 2s
  - cpu-limit: redis
    cores: 0.1
    at: 13s
    for: 2s
expect:
  - outage: "<= 5s"
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO)
    options = Options(runtime="process", seed=7, settings={})
    return make_plan(load(path, options), options)


@pytest.fixture
def lines(plan: Plan) -> list[str]:
    return lines_of(plan)


def lines_of(plan: Plan) -> list[str]:
    return [" ".join(line.split()) for line in plan_text(plan).splitlines()]


def line_of(lines: list[str], start: str) -> str:
    (line,) = [line for line in lines if start in line and "undo:" not in line]
    return line[line.index(start) :]


def test_spans_are_written_as_people_write_them(lines: list[str]) -> None:
    assert line_of(lines, "clock-offset").startswith("clock-offset relay (offset -5 min; ")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("io-throttle redis", "(write bytes per s 2000000; "),
        ("maxmemory redis", "(of used 0.5; "),
        ("partition redis | relay, listener", "(met by "),
    ],
)
def test_what_was_not_set_does_not_look_set(lines: list[str], fault: str, said: str) -> None:
    assert line_of(lines, fault).startswith(f"{fault} {said}")


def test_each_fault_says_who_will_meet_it(plan: Plan) -> None:
    (first, *_) = plan.faults
    met = replace(plan, faults=(replace(first, met_by=("publish", "probe-redis")),))
    assert line_of(lines_of(plan), "clock-offset").endswith("; met by publish)")
    assert line_of(lines_of(met), "clock-offset").endswith("; met by publish, probe-redis)")


def test_each_fault_says_what_it_needs_of_the_host(lines: list[str]) -> None:
    assert "; needs libfaketime; " in line_of(lines, "clock-offset")
    assert line_of(lines, "cpu-limit") == (
        "cpu-limit redis (cores 0.1; needs cpu control group in process "
        "(or else duty cycle of 100 ms); met by publish)"
    )


def test_the_undoing_is_one_short_line(lines: list[str]) -> None:
    assert "8 s undo: io-throttle redis" in lines


def test_an_expectation_that_is_called_as_its_finding_is_named_once(lines: list[str]) -> None:
    assert "expect outage <= 5s" in lines
