"""A measurement that cannot be trusted says so, on the scale of what is judged."""

from dataclasses import replace

import numpy as np
import pytest

from gameday.analysis import FINDINGS, analyse, failed_guards
from gameday.model.history import HostNoise, Observation
from gameday.model.scenario import Expectation
from gameday.model.units import parse_limit
from gameday.testing import HistoryBuilder


def expects(finding: str, limit: str) -> Expectation:
    return Expectation(name=finding, finding=finding, limit=parse_limit(limit))


def guards(observation: Observation, *expectations: Expectation) -> tuple[str, ...]:
    return failed_guards(analyse(observation), expectations)


def test_every_finding_of_the_vocabulary_is_returned_once_in_its_unit() -> None:
    found = analyse(HistoryBuilder().outage("5s", "6s").build()).findings
    assert {finding.name: finding.unit for finding in found} == dict(FINDINGS)
    assert len(found) == len(FINDINGS)


def test_a_quiet_host_fails_no_guard() -> None:
    healthy = HistoryBuilder().outage("5s", "6s").build()
    assert guards(healthy, expects("recovery", "< 2s"), expects("availability", ">= 90%")) == ()


def test_a_hiccup_is_held_against_the_smallest_time_that_is_judged() -> None:
    stalled = HistoryBuilder().outage("5s", "6s").hiccup("7s", "30ms").build()
    (sentence,) = guards(stalled, expects("p99", "<= 100ms"), expects("recovery", "< 2min"))
    assert "longest hiccup 30 ms" in sentence
    assert "20 ms" in sentence
    assert guards(stalled, expects("recovery", "< 2min")) == ()


def test_a_hiccup_outside_the_load_does_not_matter() -> None:
    late = HistoryBuilder(lasts="10s").hiccup("11s", "500ms").build()
    assert guards(late, expects("p99", "<= 100ms")) == ()


def test_an_availability_hangs_on_the_deadline() -> None:
    stalled = HistoryBuilder(deadline="1s").hiccup("7s", "300ms").build()
    assert len(guards(stalled, expects("availability", ">= 90%"))) == 1
    assert guards(stalled, expects("lost", "== 0")) == ()


def test_a_fault_call_as_long_as_the_limit_cannot_time_it() -> None:
    slow_kill = HistoryBuilder().fault("5s", "6s", call="250ms").build()
    (sentence,) = guards(slow_kill, expects("failover", "< 100ms"))
    assert "its call took 250 ms" in sentence


def test_a_late_driver_is_named() -> None:
    observation = HistoryBuilder().build()
    observation.history.rows["sent_ns"][::20] += 50_000_000
    (sentence,) = guards(observation, expects("p99", "<= 100ms"))
    assert "schedule lag p99 50 ms" in sentence


def test_a_load_that_was_not_offered_is_named_whatever_is_judged() -> None:
    lazy = HistoryBuilder(lasts="10s").leave_pending(*range(1, 100)).build()
    (sentence,) = guards(lazy)
    assert "95.05% of 2000" in sentence


def test_refused_connections_are_the_systems_failure_and_not_the_drivers() -> None:
    observation = HistoryBuilder().outage("5s", "8s").build()
    rows = observation.history.rows
    rows["sent_ns"][rows["outcome"] == 2] = 0
    assert guards(observation, expects("recovery", "< 2min")) == ()


@pytest.mark.parametrize(
    ("steal", "cpu", "limit", "count"),
    [
        (0.2, 0.1, "< 2s", 0),
        (0.2, 0.1, "< 500ms", 1),
        (0.0, 0.9, "< 2s", 1),
        (0.2, 0.9, "< 9ms", 2),
    ],
)
def test_steal_matters_only_to_times_under_a_second(
    steal: float, cpu: float, limit: str, count: int
) -> None:
    noise = HostNoise(
        hiccup_at_ns=np.zeros(0, np.int64),
        hiccup_ns=np.zeros(0, np.int64),
        steal=steal,
        driver_cpu=cpu,
    )
    observation = replace(HistoryBuilder().build(), noise=noise)
    assert len(guards(observation, expects("p99", limit))) == count


def test_a_time_is_not_judged_on_a_host_that_nobody_watched() -> None:
    unwatched = replace(HistoryBuilder().build(), noise=None)
    (sentence,) = guards(unwatched, expects("p99", "<= 100ms"))
    assert "nothing watched" in sentence
    assert guards(unwatched, expects("lost", "== 0")) == ()
