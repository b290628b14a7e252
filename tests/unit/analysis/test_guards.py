"""A measurement that cannot be trusted says so, on the scale of what is judged."""

from dataclasses import replace

import pytest

from gameday.analysis import FINDINGS, Facts, analyse, failed_guards
from gameday.analysis.guards import failed
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.history import Observation
from gameday.model.scenario import Expectation
from gameday.model.units import parse_limit
from gameday.testing import HistoryBuilder


def expects(finding: str, limit: str) -> Expectation:
    return Expectation(name=finding, finding=finding, limit=parse_limit(limit))


def guards(observation: Observation, *expectations: Expectation) -> tuple[str, ...]:
    return tuple(guard.text for guard in failed_guards(analyse(observation), expectations))


STILL = Facts(
    schedule_lag_ns=0,
    achieved=1.0,
    offered=1000,
    hiccup_ns=0,
    disk_stall_ns=0,
    driver_cpu=0.1,
    busy=0.3,
    steal=0.0,
    bracket_ns=0,
    deadline_ns=SECOND,
    steady_p99_ns=10 * SECOND,
)
SHARP = replace(STILL, steady_p99_ns=100 * MILLISECOND)
MS = MILLISECOND


@pytest.mark.parametrize(
    ("limit", "allowed", "too_much", "name", "slows"),
    [
        # Against the smallest time that is judged ...
        ("< 1s", replace(STILL, schedule_lag_ns=100 * MS),
         replace(STILL, schedule_lag_ns=101 * MS), "schedule_lag", True),
        ("< 1s", replace(STILL, hiccup_ns=200 * MS),
         replace(STILL, hiccup_ns=201 * MS), "hiccup", True),
        ("< 1s", replace(STILL, disk_stall_ns=200 * MS),
         replace(STILL, disk_stall_ns=201 * MS), "disk_stall", True),
        ("< 1s", replace(STILL, bracket_ns=100 * MS),
         replace(STILL, bracket_ns=101 * MS), "fault_call", False),
        # ... and against the steady state, which every recovery ends with.
        ("< 1s", replace(SHARP, schedule_lag_ns=50 * MS),
         replace(SHARP, schedule_lag_ns=51 * MS), "schedule_lag", True),
        ("< 1s", replace(SHARP, hiccup_ns=50 * MS),
         replace(SHARP, hiccup_ns=51 * MS), "hiccup", True),
        ("< 1s", replace(SHARP, disk_stall_ns=50 * MS),
         replace(SHARP, disk_stall_ns=51 * MS), "disk_stall", True),
        ("< 1s", replace(SHARP, bracket_ns=100 * MS),
         replace(SHARP, bracket_ns=101 * MS), "fault_call", False),
        # Whatever is short, by itself.
        ("< 2min", replace(STILL, busy=0.90), replace(STILL, busy=0.91), "busy", True),
        ("< 2min", replace(STILL, driver_cpu=0.70),
         replace(STILL, driver_cpu=0.71), "driver_cpu", True),
        ("< 999ms", replace(STILL, steal=0.05), replace(STILL, steal=0.06), "steal", True),
        ("< 2min", replace(STILL, achieved=0.99), replace(STILL, achieved=0.98), "achieved", True),
    ],
)  # fmt: skip
def test_each_guard_holds_up_to_its_threshold_and_not_beyond(
    limit: str, allowed: Facts, too_much: Facts, name: str, slows: bool
) -> None:
    expectations = [expects("recovery", limit)]
    assert failed(allowed, expectations) == ()
    (guard,) = failed(too_much, expectations)
    assert (guard.name, guard.slows) == (name, slows)


def test_a_slow_host_does_not_matter_where_no_time_is_judged() -> None:
    slow = replace(STILL, hiccup_ns=SECOND, disk_stall_ns=SECOND, busy=1.0, schedule_lag_ns=SECOND)
    assert failed(slow, [expects("lost", "== 0"), expects("reconnection_success", "> 99%")]) == ()
    names = [guard.name for guard in failed(slow, [expects("availability", ">= 90%")])]
    assert names == ["schedule_lag", "hiccup", "disk_stall", "busy"]


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
    observation = HistoryBuilder(lasts="10s").late("5s", "300ms").build()
    (sentence,) = guards(observation, expects("p99", "<= 100ms"))
    assert "schedule lag p99 205 ms" in sentence


def test_waiting_for_a_connection_that_the_system_holds_is_not_the_drivers_delay() -> None:
    observation = HistoryBuilder().build()
    observation.history.rows["sent_ns"][::20] += 500_000_000
    assert guards(observation, expects("p99", "<= 100ms")) == ()


def test_a_stall_of_the_proxy_is_named() -> None:
    stalled = HistoryBuilder().outage("5s", "6s").proxy_stall("7s", "1500ms").build()
    (sentence,) = guards(stalled, expects("recovery", "< 2s"))
    assert "the proxy stalled: longest answer to its heartbeat 1.5 s" in sentence


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
    facts = replace(STILL, steal=steal, driver_cpu=cpu)
    assert len(failed(facts, [expects("p99", limit)])) == count


def test_a_sync_counts_if_it_lay_under_load_only_in_part() -> None:
    builder = HistoryBuilder(lasts="10s")
    late = builder.disk_stall("9.9s", "300ms").build()
    (sentence,) = guards(late, expects("p99", "<= 100ms"))
    assert sentence == (
        "the disk stalled: longest sync 300 ms, at most 20 ms is allowed: "
        "20% of the smallest time that is judged"
    )
    assert guards(builder.disk_stall("10s", "300ms").build(), expects("p99", "<= 100ms")) == ()


def test_a_slow_disk_is_held_against_the_latency_of_the_steady_state() -> None:
    stalled = HistoryBuilder(p99="<= 250ms").outage("5s", "6s").disk_stall("7s", "126ms").build()
    (sentence,) = guards(stalled, expects("recovery_after_heal", "<= 3s"))
    assert sentence.endswith("at most 125 ms is allowed: 50% of the steady state's p99")


@pytest.mark.parametrize(("lasting", "value", "high"), [("126ms", 126, 176), ("0ms", 0, 55)])
def test_a_disk_stall_may_have_begun_right_after_the_try_before(
    lasting: str, value: int, high: int
) -> None:
    finding = analyse(HistoryBuilder().disk_stall("7s", lasting).build()).finding("disk_stall")
    assert (finding.value, finding.low, finding.high) == (value * MS, value * MS, high * MS)


def test_a_stall_of_the_proxy_may_have_begun_right_after_the_beat_before() -> None:
    finding = analyse(HistoryBuilder().proxy_stall("7s", "126ms").build()).finding("proxy_stall")
    assert (finding.value, finding.low, finding.high) == (126 * MS, 126 * MS, 146 * MS)


def test_a_time_is_not_judged_on_a_host_that_nobody_watched() -> None:
    unwatched = replace(HistoryBuilder().build(), noise=None)
    (sentence,) = guards(unwatched, expects("p99", "<= 100ms"))
    assert "nothing watched" in sentence
    assert guards(unwatched, expects("lost", "== 0")) == ()
