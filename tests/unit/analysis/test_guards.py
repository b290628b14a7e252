"""Noise is held against the margin of a verdict: it excuses what it can have caused, no more."""

from dataclasses import replace

import pytest

from gameday.analysis import FINDINGS, analyse, failed_guards
from gameday.judge import Judged, judge
from gameday.model.clock import MILLISECOND
from gameday.model.history import Observation
from gameday.model.scenario import Expectation
from gameday.model.units import parse_limit
from gameday.model.verdict import Verdict
from gameday.testing import HistoryBuilder

P, F, U = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
MS = MILLISECOND


def verdict(observation: Observation | HistoryBuilder, **limits: str) -> Judged:
    """Judge what was observed by limits, each under the name of its finding."""
    if isinstance(observation, HistoryBuilder):
        observation = observation.build()
    analysis = analyse(observation)
    expectations = [
        Expectation(name=name, finding=name, limit=parse_limit(limit))
        for name, limit in limits.items()
    ]
    return judge(
        expectations, analysis.findings, guards=failed_guards(analysis), doubts=analysis.doubts
    )


def one(observation: Observation | HistoryBuilder, finding: str, limit: str) -> Verdict:
    return verdict(observation, **{finding: limit}).judgements[0].verdict


OUTAGE = HistoryBuilder().outage("5s", "6s")


def test_noise_that_is_small_beside_the_margin_excuses_nothing() -> None:
    stalled = OUTAGE.hiccup("5.5s", "4ms")
    assert one(stalled, "recovery", "< 10ms") is F
    assert one(stalled, "outage", "< 900ms") is F


@pytest.mark.parametrize(("lasting", "expected"), [("4ms", F), ("60ms", U)])
def test_noise_as_large_as_the_margin_does(lasting: str, expected: Verdict) -> None:
    stalled = verdict(OUTAGE.hiccup("5.5s", lasting), recovery="<= 950ms")
    assert stalled.judgements[0].verdict is expected
    assert bool(stalled.guards) == (expected is U)
    if expected is U:
        (guard,) = stalled.guards
        assert guard == "the host stalled for up to 60 ms"
        assert "without which it may be 9" in stalled.judgements[0].margin


def test_a_sharp_limit_does_not_take_the_others_verdicts() -> None:
    stalled = verdict(
        OUTAGE.slow("10s", "10.3s", "105ms").hiccup("10.2s", "30ms"),
        p99="<= 90ms",
        recovery="<= 500ms",
        outage="<= 2s",
    )
    assert [judgement.verdict for judgement in stalled.judgements] == [U, F, P]
    assert stalled.verdict is F


@pytest.mark.parametrize("stall", ["hiccup", "proxy_stall", "disk_stall", "late"])
def test_an_outage_that_a_stall_explains_is_not_the_systems(stall: str) -> None:
    silent = HistoryBuilder().fault("5s", "7s").timeouts("10s", "10.4s")
    stalled = getattr(silent, stall)("10s", "1500ms")
    for finding, limit in (("recovery", "<= 1s"), ("outage", "<= 100ms"), ("p99", "<= 500ms")):
        assert one(silent, finding, limit) is F, finding
        assert one(stalled, finding, limit) is U, finding
    assert one(silent, "availability", ">= 99%") is F
    assert one(stalled, "availability", ">= 99%") is U


def test_a_stall_elsewhere_explains_no_outage() -> None:
    silent = HistoryBuilder().fault("5s", "7s").timeouts("10s", "12s").hiccup("15s", "300ms")
    assert one(silent, "outage", "<= 1s") is F
    assert one(silent, "availability", ">= 99%") is F


@pytest.mark.parametrize(("stall", "expected"), [("1000ms", U), ("250ms", F), ("40ms", F)])
def test_errors_that_a_long_stall_set_off_are_put_down_to_it_for_a_while(
    stall: str, expected: Verdict
) -> None:
    """A client that lost its connection in the stall tries again only some time after it."""
    errors = HistoryBuilder().fault("5s", "7s").brown_out("10s", "12s", 1.0)
    for kind in ("proxy_stall", "hiccup"):
        stalled = getattr(errors, kind)("9.5s", stall)
        assert one(stalled, "availability", ">= 99%") is expected
        assert one(stalled, "outage", "<= 1200ms") is expected


def test_a_short_stall_does_not_explain_an_error() -> None:
    errors = HistoryBuilder().fault("5s", "7s").brown_out("5s", "7s", 1.0)
    assert one(errors.hiccup("6s", "5ms"), "availability", ">= 99%") is F


def test_what_is_lost_is_lost_on_any_host() -> None:
    lossy = replace(HistoryBuilder().fault("5s", "6s").lose(900, 1000), lasts="20s")
    noisy = lossy.hiccup("5s", "2s").disk_stall("5s", "2s")
    assert one(noisy, "lost", "== 0") is F
    assert one(noisy, "availability", ">= 99.99%") is F


def test_what_held_beside_noise_held() -> None:
    noisy = OUTAGE.hiccup("7s", "40ms").disk_stall("7s", "300ms")
    held = verdict(noisy, recovery="<= 2s", lost="== 0", availability=">= 90%")
    assert held.verdict is P
    assert held.guards == ()


def test_a_pass_that_is_closer_to_its_limit_than_the_noise_is_none() -> None:
    stalled = OUTAGE.hiccup("5.5s", "60ms")
    assert one(stalled, "recovery", "<= 1200ms") is P
    assert one(stalled, "recovery", "<= 1050ms") is U
    assert one(OUTAGE, "recovery", "<= 1050ms") is P


def test_the_width_of_the_faults_own_call_is_in_the_bounds_and_nowhere_else() -> None:
    slow_kill = HistoryBuilder().fault("5s", "6s", call="250ms").outage("5.1s", "6s")
    assert one(slow_kill, "p99", "<= 100ms") is P
    assert one(slow_kill, "recovery", "<= 900ms") is U
    assert one(slow_kill, "recovery", "<= 700ms") is F


@pytest.mark.parametrize(
    ("busy", "limit", "expected"),
    [
        (0.90, "<= 950ms", F),
        (0.91, "<= 950ms", U),
        (0.91, "<= 300ms", U),
        (0.91, "<= 200ms", F),
        (0.90, "<= 3s", P),
        (0.91, "<= 3s", U),
        (0.91, "<= 5s", P),
    ],
)
def test_used_up_processors_stretch_a_time_by_the_threads_that_share_them(
    busy: float, limit: str, expected: Verdict
) -> None:
    observation = OUTAGE.build()
    assert observation.noise is not None
    noise = replace(observation.noise, busy=busy, crowding=4.0)
    crowded = replace(observation, noise=noise)
    outcome = verdict(crowded, recovery=limit)
    assert outcome.judgements[0].verdict is expected
    if expected is U:
        (guard,) = outcome.guards
        assert guard == "91% of the processors' time was used, with 4.0 threads for each"
    assert one(crowded, "lost", "== 0") is P


def test_no_noise_explains_a_system_that_never_came_back() -> None:
    gone = HistoryBuilder(lasts="40s").fault("5s", "7s").timeouts("5s", "40s")
    noisy = gone.hiccup("6s", "300ms").disk_stall("20s", "900ms").build()
    slow = HistoryBuilder(lasts="40s").fault("5s", "7s").slow("5s", "40s", "150ms").build()
    for observation, expected in ((noisy, F), (slow, U)):
        assert observation.noise is not None
        noise = replace(observation.noise, busy=1.0, crowding=5.0)
        crowded = replace(observation, noise=noise)
        assert one(crowded, "recovery", "<= 30s") is expected
    assert one(slow, "recovery", "<= 30s") is F


def test_used_up_processors_make_answers_late_and_no_errors() -> None:
    slow = HistoryBuilder(deadline="500ms").slow("10s", "12s", "900ms").build()
    errors = HistoryBuilder().brown_out("10s", "12s", 1.0).build()
    for observation, expected in ((slow, U), (errors, F)):
        assert observation.noise is not None
        noise = replace(observation.noise, busy=1.0, crowding=3.0)
        crowded = replace(observation, noise=noise)
        assert one(observation, "availability", ">= 99%") is F
        assert one(crowded, "availability", ">= 99%") is expected


def test_a_time_is_not_judged_on_a_host_that_nobody_watched() -> None:
    unwatched = replace(OUTAGE.slow("10s", "11s", "200ms").build(), noise=None)
    outcome = verdict(unwatched, p99="<= 100ms", recovery="< 2s", lost="== 0")
    assert [judgement.verdict for judgement in outcome.judgements] == [U, U, P]
    assert outcome.guards == ("the noise of the host was not measured",)


def test_a_hiccup_outside_the_load_does_not_matter() -> None:
    assert analyse(HistoryBuilder(lasts="10s").hiccup("11s", "500ms").build()).doubts == {}


def test_every_finding_of_the_vocabulary_is_returned_once_in_its_unit() -> None:
    found = analyse(HistoryBuilder().outage("5s", "6s").build()).findings
    assert {finding.name: finding.unit for finding in found} == dict(FINDINGS)
    assert len(found) == len(FINDINGS)


def test_waiting_for_a_connection_that_the_system_holds_is_not_the_drivers_delay() -> None:
    observation = HistoryBuilder().build()
    observation.history.rows["sent_ns"][::20] += 500_000_000
    assert one(observation, "p99", "<= 100ms") is P


def test_a_load_that_was_not_offered_is_named_whatever_is_judged() -> None:
    lazy = HistoryBuilder(lasts="10s").leave_pending(*range(1, 100)).build()
    (guard,) = failed_guards(analyse(lazy))
    assert "95.05% of 2000" in guard.text
    assert one(lazy, "lost", "== 0") is P
    assert verdict(lazy, lost="== 0").verdict is U


def test_refused_connections_are_the_systems_failure_and_not_the_drivers() -> None:
    observation = HistoryBuilder().outage("5s", "8s").build()
    rows = observation.history.rows
    rows["sent_ns"][rows["outcome"] == 2] = 0
    assert failed_guards(analyse(observation)) == ()


@pytest.mark.parametrize(("lasting", "value", "high"), [("126ms", 126, 176), ("0ms", 0, 55)])
def test_a_disk_stall_may_have_begun_right_after_the_try_before(
    lasting: str, value: int, high: int
) -> None:
    finding = analyse(HistoryBuilder().disk_stall("7s", lasting).build()).finding("disk_stall")
    assert (finding.value, finding.low, finding.high) == (value * MS, value * MS, high * MS)


def test_a_stall_of_the_proxy_may_have_begun_right_after_the_beat_before() -> None:
    finding = analyse(HistoryBuilder().proxy_stall("7s", "126ms").build()).finding("proxy_stall")
    assert (finding.value, finding.low, finding.high) == (126 * MS, 126 * MS, 146 * MS)
