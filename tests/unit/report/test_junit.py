from dataclasses import replace

from gameday.model.result import Result
from gameday.report.junit import junit_properties


def test_a_finding_is_exact_and_has_its_bounds_and_unit(result: Result) -> None:
    properties = dict(junit_properties(result))
    assert properties["gameday.finding.outage"] == (
        "value=3102000000 low=3097000000 high=3107000000 unit=ns samples=3000"
    )
    assert "value=0.7933 " in properties["gameday.finding.availability"]


def test_never_and_not_measured_differ(result: Result) -> None:
    properties = dict(junit_properties(result))
    assert properties["gameday.finding.failover"].startswith("value=inf low=30000000000 high=inf")
    assert properties["gameday.finding.rpo"].startswith("value=none low=none high=none")


def test_the_run_can_be_found_and_replayed(result: Result) -> None:
    properties = dict(junit_properties(replace(result, sabotage="no-reconnect")))
    assert properties["gameday.verdict"] == "FAIL"
    assert properties["gameday.seed"] == "424242"
    assert properties["gameday.runtime"] == "process"
    assert properties["gameday.folder"] == "reports/20261123T014216Z-redis-restart"
    assert properties["gameday.sabotage"] == "no-reconnect"
    assert properties["gameday.parameter.outage"] == "2s"
    assert "3 acknowledged signals were lost" in properties["gameday.reason"]


def test_each_expectation_has_what_was_wanted_and_seen(result: Result) -> None:
    properties = dict(junit_properties(result))
    assert properties["gameday.expectation.arbees/no-message-loss"] == (
        "FAIL: wanted == 0, seen 3, margin -3"
    )
    assert properties["gameday.expectation.arbees/mttr"].startswith("PASS: wanted < 2min, ")


def test_names_are_unique_and_values_are_one_line(result: Result) -> None:
    properties = junit_properties(replace(result, reason="one\ntwo"))
    assert len(dict(properties)) == len(properties)
    assert not any("\n" in value for _, value in properties)
