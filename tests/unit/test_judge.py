"""From bounds to a verdict, for every comparison and every place of the interval."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from gameday.analysis import analyse
from gameday.errors import InternalError
from gameday.judge import Judged, judge
from gameday.model.clock import MILLISECOND, MINUTE, SECOND
from gameday.model.finding import Finding
from gameday.model.guard import Doubt, Guard
from gameday.model.result import FaultRecord
from gameday.model.scenario import Expectation, Sla
from gameday.model.units import Unit, parse_limit
from gameday.model.verdict import Verdict
from gameday.testing import HistoryBuilder

P, F, U = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def found(low: float, high: float, *, name: str = "recovery", unit: Unit = Unit.NS) -> Finding:
    return Finding(
        name=name,
        value=high,
        low=low,
        high=high,
        unit=unit,
        samples=4000,
        resolution=1,
        evidence="as the clock showed",
    )


def wants(limit: str, *, finding: str = "recovery", sla: Sla | None = None) -> Expectation:
    name = sla.name if sla else finding
    return Expectation(name=name, finding=finding, limit=parse_limit(limit), sla=sla)


BITTEN = FaultRecord(
    fault="kill",
    target="redis",
    asked={},
    measured={"exit_code": 0},
    proven=True,
    undone=True,
    window=None,
)
MTTR = Sla(
    name="arbees/mttr",
    title="Mean time to recovery",
    finding="recovery",
    limit=parse_limit("< 2min"),
    document="002.txt",
    section="Success Metrics",
    quote="MTTR < 2 minutes",
    severity="critical",
)


def judged(
    expectation: Expectation,
    findings: Iterable[Finding],
    faults: tuple[FaultRecord, ...] = (BITTEN,),
) -> Judged:
    return judge([expectation], findings, faults=faults)


@pytest.mark.parametrize(
    ("op", "below", "touches_low", "around", "touches_high", "above", "point"),
    [
        # [1, 4]  [1, 5]  [4, 6]  [5, 9]  [6, 9]  [5, 5], against a limit of 5
        ("<", P, U, U, F, F, F),
        ("<=", P, P, U, U, F, P),
        (">", F, F, U, U, P, F),
        (">=", F, U, U, P, P, P),
        ("==", F, U, U, U, F, P),
    ],
)
def test_pass_needs_the_whole_interval_inside_and_fail_the_whole_outside(
    op: str,
    below: Verdict,
    touches_low: Verdict,
    around: Verdict,
    touches_high: Verdict,
    above: Verdict,
    point: Verdict,
) -> None:
    table = [
        ((1, 4), below),
        ((1, 5), touches_low),
        ((4, 6), around),
        ((5, 9), touches_high),
        ((6, 9), above),
        ((5, 5), point),
    ]
    for (low, high), verdict in table:
        finding = found(low * SECOND, high * SECOND)
        assert judged(wants(f"{op} 5s"), [finding]).verdict is verdict, (op, low, high)


def test_a_recovery_that_was_not_watched_to_the_limit_is_inconclusive() -> None:
    short = judged(wants("< 2min"), [found(30 * SECOND, math.inf)])
    assert short.verdict is U
    assert short.judgements[0].seen == "never within 30 s"
    assert short.judgements[0].margin == "watched for 30 s only, the limit is 2 min"
    long = judged(wants("< 2min"), [found(125 * SECOND, math.inf)])
    assert long.verdict is F
    assert long.judgements[0].margin == "5 s (4%) outside"


def test_an_unmeasured_finding_is_inconclusive_and_says_why() -> None:
    outcome = judged(
        wants("== 0", finding="lost"), [Finding.unmeasured("lost", Unit.COUNT, "no final read")]
    )
    assert outcome.verdict is U
    assert outcome.judgements[0].seen == "not measured"
    assert outcome.judgements[0].margin == "no final read"
    assert "lost could not be decided: wanted == 0; not measured: no final read" in outcome.reason


def test_a_finding_that_the_run_does_not_have_is_inconclusive() -> None:
    outcome = judged(wants("< 2min"), [])
    assert outcome.verdict is U
    assert "has no finding called recovery" in outcome.reason


def test_a_limit_in_another_unit_is_our_bug() -> None:
    with pytest.raises(InternalError, match="recovery == 0"):
        judged(wants("== 0"), [found(1, 2)])


@pytest.mark.parametrize(
    ("limit", "finding", "margin"),
    [
        ("< 2min", found(3 * SECOND, 4 * SECOND), "116 s (97%) inside"),
        ("<= 2s", found(3 * SECOND, 4 * SECOND), "1 s (50%) outside"),
        ("<= 2s", found(SECOND, 4 * SECOND), "too close to tell: the limit lies within 1 s to 4 s"),
        (">= 90%", found(0.945, 0.95, unit=Unit.RATIO), "4.5 %-points inside"),
        ("> 99%", found(0.945, 0.95, unit=Unit.RATIO), "4 %-points outside"),
        ("== 0", found(0, 0, unit=Unit.COUNT), "exact"),
        ("== 0", found(7, 7, unit=Unit.COUNT), "7 outside"),
    ],
)
def test_the_margin_says_how_far_from_the_limit_the_deciding_bound_is(
    limit: str, finding: Finding, margin: str
) -> None:
    assert judged(wants(limit), [finding]).judgements[0].margin == margin


def test_a_broken_promise_is_told_with_who_promised_it() -> None:
    outcome = judged(wants("< 2min", sla=MTTR), [found(130 * SECOND, math.inf)])
    assert outcome.reason == (
        "arbees/mttr was broken: wanted recovery < 2min, saw never within 2.17 min, "
        "10 s (8%) outside; as the clock showed (4000 samples)."
    )
    judgement = outcome.judgements[0]
    assert judgement.sla == "arbees/mttr"
    assert judgement.source == "002.txt, Success Metrics"
    assert judgement.severity == "critical"


def test_a_pass_names_the_expectation_with_the_least_room() -> None:
    outcome = judge(
        [wants("< 2min"), wants("<= 5s", finding="outage"), wants("== 0", finding="lost")],
        [
            found(3 * SECOND, 4 * SECOND),
            found(3 * SECOND, 4 * SECOND, name="outage"),
            found(0, 0, name="lost", unit=Unit.COUNT),
        ],
        faults=[BITTEN],
    )
    assert outcome.verdict is P
    assert outcome.reason == (
        "All 3 expectations held; the closest was outage: wanted outage <= 5s, "
        "saw 4 s (3 s to 4 s), 1 s (20%) inside (4000 samples)."
    )


def test_a_fault_that_was_not_proven_to_bite_is_invalid_and_nothing_is_judged() -> None:
    noop = replace(BITTEN, proven=False)
    outcome = judged(wants("< 2min"), [found(1, 2)], (noop,))
    assert outcome.verdict is Verdict.INVALID
    (judgement,) = outcome.judgements
    assert (judgement.verdict, judgement.seen) == (Verdict.INVALID, "not judged")
    assert judgement.margin == "not judged: the run says nothing"
    assert outcome.reason == (
        "kill of redis was not proven to take effect, so the run says nothing; look at what was "
        "measured of it (exit code 0)."
    )


def test_what_was_measured_of_an_unproven_fault_is_told_in_words() -> None:
    measured = {"matched": 0, "pid": None, "main_alive": True, "took_ns": 2_000_000}
    outcome = judged(
        wants("< 2min"), [found(1, 2)], (replace(BITTEN, proven=False, measured=measured),)
    )
    assert outcome.reason.endswith("(matched 0, pid none, main alive yes, took 2 ms).")
    nothing = replace(BITTEN, proven=False, measured={})
    assert "of it (nothing)" in judged(wants("< 2min"), [found(1, 2)], (nothing,)).reason


def test_a_fault_that_met_too_few_operations_says_how_many() -> None:
    few = replace(
        BITTEN,
        proven=False,
        asked={"for_ns": 5 * SECOND},
        exposure=200,
        measured={"exit_code": 137},
        met=3,
    )
    outcome = judged(wants("< 2min"), [found(1, 2)], (few,))
    assert outcome.reason.endswith(
        "measured of it (exit code 137) beside what was asked (for 5 s); only 3 operations of the "
        "load met it, 200 are required."
    )


def test_a_fault_that_was_not_in_any_more_at_its_end_is_invalid_and_said_to_be_so() -> None:
    gone = replace(BITTEN, proven=False, measured={"at_end_alive": True}, active_at_end=False)
    outcome = judged(wants("< 2min"), [found(1, 2)], (gone,))
    assert outcome.verdict is Verdict.INVALID
    assert outcome.reason == (
        "kill of redis took effect, but was no longer active when it was due to be undone, so the "
        "run says nothing; look at what was measured of it (at end alive yes, in at end no)."
    )


def test_traffic_that_went_around_the_fault_is_invalid() -> None:
    bypass = ["7 requests went around the proxy"]
    outcome = judge([wants("< 2min")], [found(1, 2)], faults=[BITTEN], bypass=bypass)
    assert outcome.verdict is Verdict.INVALID
    assert outcome.judgements[0].seen == "not judged"
    assert bypass[0] in outcome.reason


@pytest.mark.parametrize(
    ("fault", "problems", "words"),
    [
        (replace(BITTEN, undone=False), (), "kill of redis was not undone."),
        (BITTEN, ("container abc was left",), "container abc was left."),
        (
            replace(BITTEN, proven=False, undone=False),
            ("x", "y"),
            "x.\ny.\nkill of redis was not undone.",
        ),
    ],
)
def test_what_the_harness_did_wrong_is_an_error_above_everything_else(
    fault: FaultRecord, problems: tuple[str, ...], words: str
) -> None:
    outcome = judge(
        [wants("< 2min")], [found(MINUTE * 3, MINUTE * 4)], faults=[fault], problems=problems
    )
    assert outcome.verdict is Verdict.ERROR
    assert outcome.judgements[0].verdict is (F if fault.proven else Verdict.INVALID)
    assert outcome.reason == words


LAZY = Guard(name="achieved", text="the load was not offered")


def test_a_failed_guard_takes_away_a_pass_and_leaves_a_fail() -> None:
    expectation = [wants("== 0", finding="lost")]
    fine, broken = (found(n, n, name="lost", unit=Unit.COUNT) for n in (0, 3))
    assert judge(expectation, [fine], faults=[BITTEN], guards=[LAZY]).verdict is U
    outcome = judge(expectation, [broken], faults=[BITTEN], guards=[LAZY])
    assert outcome.verdict is F
    assert outcome.reason.endswith("Besides: the load was not offered.")
    assert outcome.guards == ("the load was not offered",)


@pytest.mark.parametrize(
    ("limit", "low", "high", "verdict"),
    [
        # It was 3 s to 4 s, and without the noise it may be `low` to `high`.
        ("<= 2s", 2.5, 4, F),
        ("<= 2s", 2, 4, U),
        ("<= 2s", 0, 4, U),
        ("<= 5s", 0, 4, P),
        ("<= 5s", 0, 6, U),
        (">= 5s", 3, 4.5, F),
        (">= 5s", 3, 5, U),
        ("<= 3500ms", 0, 9, U),
    ],
)
def test_a_doubt_takes_a_verdict_only_where_it_reaches_across_the_limit(
    limit: str, low: float, high: float, verdict: Verdict
) -> None:
    doubt = Doubt(low=low * SECOND, high=high * SECOND, why="the host stalled for up to 30 ms")
    outcome = judge(
        [wants(limit)],
        [found(3 * SECOND, 4 * SECOND)],
        faults=[BITTEN],
        doubts={"recovery": doubt, "outage": Doubt(low=0, high=math.inf, why="of another")},
    )
    assert outcome.judgements[0].verdict is outcome.verdict is verdict
    doubted = verdict is U and limit != "<= 3500ms"
    assert outcome.guards == (("the host stalled for up to 30 ms",) if doubted else ())


def test_a_promise_that_noise_may_have_broken_says_so_and_by_how_much() -> None:
    doubt = Doubt(low=1.5 * SECOND, high=4 * SECOND, why="the host stalled for up to 2 s")
    outcome = judge(
        [wants("<= 2s")],
        [found(3 * SECOND, 4 * SECOND)],
        faults=[BITTEN],
        doubts={"recovery": doubt},
    )
    assert outcome.judgements[0].margin == (
        "1 s (50%) outside, but the host stalled for up to 2 s, without which it may be "
        "1.5 s to 4 s"
    )
    assert outcome.reason.startswith("recovery could not be decided: wanted <= 2s, saw 4 s (3 s to")


def test_one_fail_that_stands_makes_the_run_fail_beside_those_that_do_not() -> None:
    outcome = judge(
        [wants("<= 2s"), wants("== 0", finding="lost")],
        [found(3 * SECOND, 4 * SECOND), found(1, 1, name="lost", unit=Unit.COUNT)],
        faults=[BITTEN],
        doubts={"recovery": Doubt(low=0, high=math.inf, why="x")},
    )
    assert [judgement.verdict for judgement in outcome.judgements] == [U, F]
    assert outcome.verdict is F
    assert outcome.reason.startswith("lost was broken")


@pytest.mark.parametrize("finding", [found(1, 2), found(MINUTE * 3, MINUTE * 4)])
def test_without_a_steady_state_before_the_fault_nothing_is_judged(finding: Finding) -> None:
    outcome = judge([wants("< 2min")], [finding], unsteady="97 % succeeded, wanted >= 99%")
    assert outcome.verdict is outcome.judgements[0].verdict is U
    assert outcome.judgements[0].seen == "not judged"
    assert outcome.reason.startswith("there was no steady state before the fault: 97 %")


def test_a_scenario_that_expects_nothing_has_judged_nothing() -> None:
    assert judge([], [found(1, 2)], faults=[BITTEN]).verdict is U


STRICT = [
    wants("< 2min"),
    wants("== 0", finding="lost"),
    wants("== 0", finding="phantom"),
    wants("== 0", finding="duplicate"),
    wants("== 0", finding="reordered"),
    wants("== 0", finding="corrupt"),
    wants("<= 100ms", finding="p99"),
    wants(">= 85%", finding="availability"),
    wants("> 99%", finding="reconnection_success"),
]
HEALTHY = (
    HistoryBuilder(lasts="20s")
    .fault("5s", "7s")
    .outage("5s", "7.1s")
    .connections(lost={"relay": 1}, restored={"relay": 1})
)


def verdict_on(builder: HistoryBuilder) -> Judged:
    return judge(STRICT, analyse(builder.build()).findings, faults=[BITTEN])


@pytest.mark.parametrize("rate", [100, 200, 333])
@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_never_fails(seed: int, rate: float) -> None:
    outcome = verdict_on(replace(HEALTHY, seed=seed, rate_per_s=rate, phase=seed * MILLISECOND))
    assert outcome.verdict is P, outcome.reason


@pytest.mark.parametrize(
    ("stall", "slow", "verdict"),
    [("51ms", "120ms", F), ("2s", "120ms", U), ("51ms", "900ms", F), ("2.5s", "900ms", U)],
)
def test_a_slow_disk_excuses_as_much_as_it_lasted(stall: str, slow: str, verdict: Verdict) -> None:
    builder = HEALTHY.slow("7.1s", "10s", slow).disk_stall("7.1s", stall)
    expectations = [wants("<= 1s", finding="recovery_after_heal")]
    analysis = analyse(builder.build())
    assert judge(expectations, analysis.findings, faults=[BITTEN]).verdict is F
    outcome = judge(expectations, analysis.findings, faults=[BITTEN], doubts=analysis.doubts)
    assert outcome.verdict is verdict, outcome


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [
        (HEALTHY.lose(50), "lost"),
        (HEALTHY.duplicate(50), "duplicate"),
        (HEALTHY.reorder(50, 60), "reordered"),
        (HEALTHY.corrupt(50), "corrupt"),
        (HEALTHY.phantom(10**6), "phantom"),
        (HEALTHY.slow("10s", "10.5s", "200ms"), "p99"),
        (HEALTHY.outage("7s", "9s"), "availability"),
        (replace(HEALTHY, lasts="140s").outage("7s", "140s"), "recovery"),
        (HEALTHY.connections(lost={"relay": 1}, restored={}), "reconnection_success"),
    ],
)
def test_each_seeded_defect_breaks_the_promise_that_it_should(
    mutant: HistoryBuilder, broken: str
) -> None:
    outcome = verdict_on(mutant)
    named = {judgement.name for judgement in outcome.judgements if judgement.verdict is F}
    assert broken in named, outcome
    assert outcome.verdict is F


@pytest.mark.parametrize(
    "broken",
    [HEALTHY.timeouts("10s", "12s"), HEALTHY.brown_out("10s", "12s", 1.0)],
    ids=["silence", "errors"],
)
def test_a_system_that_answers_errors_or_not_at_all_fails_its_availability(
    broken: HistoryBuilder,
) -> None:
    outcome = verdict_on(broken)
    by_name = {judgement.name: judgement for judgement in outcome.judgements}
    assert outcome.verdict is by_name["availability"].verdict is F
    assert by_name["availability"].seen == "79.5 %"
