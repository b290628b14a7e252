"""The truth about a synthetic service lies inside the bounds that are reported."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gameday.analysis import Analysis, analyse
from gameday.analysis.operations import Operations, keeps
from gameday.analysis.recovery import estimate
from gameday.analysis.steadiness import unsteady
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.finding import Finding
from gameday.model.history import FaultTimes
from gameday.model.operation import Outcome, StreamInfo
from gameday.model.result import Window
from gameday.model.scenario import Steady
from gameday.model.units import parse_limit
from gameday.testing import HistoryBuilder

FAULT_NS = 2 * SECOND


def holds_in(finding: Finding, truth_ns: float) -> None:
    assert finding.low is not None
    assert finding.high is not None
    assert finding.value is not None
    assert finding.low <= finding.value <= finding.high, finding
    assert finding.low <= truth_ns <= finding.high, (truth_ns, finding)


services = st.builds(
    HistoryBuilder,
    rate_per_s=st.sampled_from([20, 97, 200, 500]),
    phase=st.integers(0, 50 * MILLISECOND),
    latency=st.integers(MILLISECOND // 5, 20 * MILLISECOND),
    seed=st.integers(0, 1000),
    hold=st.just("1s"),
)
outages_ns = st.integers(150 * MILLISECOND, 2 * SECOND)


# The last operations before the outage are slow ones, which it meets on their way.
@example(
    service=HistoryBuilder(
        rate_per_s=200, phase=2_557_567, latency=12_819_674, seed=957, hold="1s"
    ),
    outage_ns=150 * MILLISECOND,
    heal_share=0.0,
    late_ns=0,
    kind="outage",
)
@example(
    service=HistoryBuilder(rate_per_s=200, phase=2_351_894, latency=5_388_275, seed=7, hold="1s"),
    outage_ns=150_000_015,
    heal_share=1.0,
    late_ns=0,
    kind="timeouts",
)
@settings(max_examples=150)
@given(
    service=services,
    outage_ns=outages_ns,
    heal_share=st.floats(0, 1),
    late_ns=st.integers(0, 50 * MILLISECOND),
    kind=st.sampled_from(["outage", "timeouts"]),
)
def test_a_known_outage_lies_inside_the_bounds_of_every_phase(
    service: HistoryBuilder, outage_ns: int, heal_share: float, late_ns: int, kind: str
) -> None:
    heal_ns = FAULT_NS + round(heal_share * outage_ns)
    fails_ns, serves_ns = FAULT_NS + late_ns, FAULT_NS + late_ns + outage_ns
    builder = replace(service, lasts="7s")
    builder = builder.fault(FAULT_NS, heal_ns)
    breaks = builder.outage if kind == "outage" else builder.timeouts
    builder = breaks(fails_ns, serves_ns)
    found = analyse(builder.build())
    # The call that breaks lasts 1 ms: the fault took hold at some moment in it. The one that heals
    # lasts 1 ms too, and its proof is 4 ms later.
    holds_in(found.finding("recovery"), serves_ns - FAULT_NS)
    holds_in(found.finding("recovery"), serves_ns - FAULT_NS - MILLISECOND)
    holds_in(found.finding("outage"), outage_ns)
    holds_in(found.finding("recovery_after_heal"), max(0, serves_ns - heal_ns - 5 * MILLISECOND))
    holds_in(found.finding("recovery_after_heal"), max(0, serves_ns - heal_ns))
    holds_in(found.finding("stabilise"), 0)
    holds_in(found.finding("detect"), max(0, late_ns - 5 * MILLISECOND))
    if late_ns == 0:
        holds_in(found.finding("failover"), outage_ns)


@settings(max_examples=60, deadline=None)
@given(
    service=services,
    outage_ns=outages_ns,
    slow_ns=st.integers(200 * MILLISECOND, 2 * SECOND),
    latency_ns=st.integers(150 * MILLISECOND, 900 * MILLISECOND),
)
def test_a_slow_time_after_an_outage_is_stabilising_and_its_length_lies_in_the_bounds(
    service: HistoryBuilder, outage_ns: int, slow_ns: int, latency_ns: int
) -> None:
    back_ns = FAULT_NS + outage_ns
    builder = replace(service, lasts="9s")
    builder = builder.fault(FAULT_NS, back_ns).outage(FAULT_NS, back_ns)
    found = analyse(builder.slow(back_ns, back_ns + slow_ns, latency_ns).build())
    holds_in(found.finding("stabilise"), slow_ns)
    holds_in(found.finding("recovery"), outage_ns + slow_ns)
    holds_in(found.finding("outage"), outage_ns)


@settings(max_examples=60, deadline=None)
@given(service=services, pause_ns=st.integers(100 * MILLISECOND, 900 * MILLISECOND))
def test_a_pause_that_nothing_fails_by_is_found_as_a_failover_gap(
    service: HistoryBuilder, pause_ns: int
) -> None:
    builder = replace(service, lasts="6s")
    builder = builder.fault(FAULT_NS, FAULT_NS + pause_ns)
    found = analyse(builder.stall(FAULT_NS, FAULT_NS + pause_ns).build())
    holds_in(found.finding("failover"), pause_ns)
    assert found.finding("outage").value == 0


@settings(max_examples=60, deadline=None)
@given(service=services, share_ns=st.integers(0, 140 * MILLISECOND), outage_ns=outages_ns)
def test_the_share_of_the_proxy_lies_in_its_bounds(
    service: HistoryBuilder, share_ns: int, outage_ns: int
) -> None:
    builder = replace(service, lasts="7s")
    builder = builder.fault(FAULT_NS, FAULT_NS + outage_ns - share_ns)
    builder = builder.outage(FAULT_NS, FAULT_NS + outage_ns, proxy_adds=share_ns)
    found = analyse(builder.build())
    holds_in(found.finding("proxy_share"), share_ns)
    holds_in(found.finding("recovery_front"), share_ns)
    holds_in(found.finding("recovery_direct"), 0)


def run(builder: HistoryBuilder) -> Analysis:
    return analyse(builder.build())


def test_a_fault_that_nobody_noticed_took_no_time_but_one_spacing_at_most() -> None:
    found = run(HistoryBuilder(rate_per_s=200).fault("5s", "7s"))
    for name in ("recovery", "outage", "stabilise", "recovery_after_heal"):
        finding = found.finding(name)
        assert (finding.value, finding.low, finding.high) == (0, 0, 5 * MILLISECOND), name
    assert (found.marks.t2, found.marks.t5) == (None, None)
    assert found.marks.t6 == found.marks.t0 == 5 * SECOND
    assert found.finding("detect").value is None


def test_what_never_recovered_is_infinite_and_has_been_watched_until_the_last_failure() -> None:
    recovery = run(HistoryBuilder(lasts="35s").fault("5s", "7s").outage("5s", "35s"))
    for name in ("recovery", "outage", "failover"):
        finding = recovery.finding(name)
        assert finding.value == finding.high == math.inf
        assert finding.low == pytest.approx(30 * SECOND, abs=20 * MILLISECOND)
    assert recovery.marks.t6 is None


def test_a_hold_that_the_load_window_cuts_off_is_no_recovery_and_bounded_from_its_start() -> None:
    finding = run(HistoryBuilder(lasts="12s").fault("5s", "7s").outage("5s", "9s")).finding(
        "recovery"
    )
    assert finding.value == math.inf
    assert finding.low == pytest.approx(4 * SECOND, abs=10 * MILLISECOND)


def test_a_lone_slow_operation_during_a_harmless_fault_does_not_break_the_steady_state() -> None:
    builder = HistoryBuilder(lasts="40s").fault("5s", "25s").slow("15s", "15.004s", "300ms")
    assert run(builder).finding("recovery").value == 0


def test_a_success_while_the_fault_builds_up_is_not_taken_for_recovery() -> None:
    found = run(HistoryBuilder(lasts="40s").fault("5s", "25s").outage("16s", "18s"))
    assert found.finding("recovery").value == pytest.approx(13 * SECOND, abs=10 * MILLISECOND)


def test_recovery_after_heal_counts_a_failure_that_the_undoing_brings() -> None:
    builder = HistoryBuilder(lasts="40s").fault("5s", "20s").outage("5s", "6s")
    found = run(builder.outage("20.5s", "21.5s"))
    assert found.finding("recovery").value == pytest.approx(16.5 * SECOND, abs=10 * MILLISECOND)
    healed = found.finding("recovery_after_heal")
    assert healed.value == pytest.approx(1.5 * SECOND, abs=10 * MILLISECOND)


def test_what_recovered_between_the_undoing_and_its_proof_took_up_to_that_long() -> None:
    builder = HistoryBuilder(lasts="20s").fault("5s", "7s", proof="100ms")
    healed = run(builder.outage("5s", "7.05s")).finding("recovery_after_heal")
    assert (healed.value, healed.low) == (0, 0)
    assert healed.high == pytest.approx(52 * MILLISECOND, abs=2 * MILLISECOND)


def test_with_two_faults_recovery_runs_from_the_first_to_after_the_second() -> None:
    found = run(HistoryBuilder(lasts="40s").outage("5s", "6s").outage("20s", "22s"))
    assert found.finding("recovery").value == pytest.approx(17 * SECOND, abs=10 * MILLISECOND)
    assert found.marks.t0 == 5 * SECOND
    assert found.marks.t3 == 22 * SECOND


def test_failures_before_the_fault_are_not_charged_to_it() -> None:
    found = run(HistoryBuilder(lasts="30s").fault("10s", "11s").outage("2s", "4s"))
    assert found.finding("outage").value == 0
    assert found.finding("recovery").value == 0


def test_an_undoing_without_proof_leaves_the_time_since_the_heal_unmeasured() -> None:
    observation = HistoryBuilder().outage("5s", "7s").build()
    (fault,) = observation.faults
    unproven = FaultTimes(
        injected=fault.injected, proven_ns=fault.proven_ns, undone=None, undo_proven_ns=None
    )
    operations = Operations.from_rows(observation.history.rows, observation.history.streams[0])
    found = estimate(operations, [unproven], observation.steady, observation.load.end_ns)
    assert found is not None
    assert found.healed is None
    assert found.steady.came


def brute_t6(operations: Operations, t0_ns: int, steady: Steady, end_ns: int) -> float:
    """The definition in the module's docstring, span by span: the earliest that t6 may be."""
    every = np.arange(len(operations))
    caught = ~operations.good & (operations.visible_ns(every) >= t0_ns)
    since_ns = int(operations.due_ns[caught | (operations.due_ns >= t0_ns)][0])
    last_ns = end_ns - steady.for_ns
    starts = [due_ns for due_ns in operations.due_ns.tolist() if since_ns <= due_ns < last_ns]
    left = [
        start_ns
        for start_ns in [*starts, max(last_ns, since_ns)]
        if unsteady(
            operations.within(
                Window(
                    start_ns=start_ns,
                    end_ns=end_ns if start_ns == last_ns else start_ns + steady.for_ns,
                )
            ),
            steady,
        )
    ]
    if not left:
        return t0_ns
    slow = operations.ok & ~keeps(steady.p99, operations.latency_ns)
    calm = operations.due_ns[(operations.due_ns > left[-1]) & operations.good & ~slow]
    return float(calm[0]) if calm.size else math.inf


@settings(max_examples=150)
@given(
    states=st.lists(
        st.tuples(st.sampled_from("ggggGbs"), st.integers(1, 30)), min_size=3, max_size=14
    ),
    success=st.sampled_from([">= 99%", ">= 80%", "> 50%"]),
    hold_ms=st.sampled_from([100, 250, 400]),
    jitter=st.integers(0, 10),
)
def test_the_estimator_agrees_with_its_definition_taken_literally(
    states: list[tuple[str, int]], success: str, hold_ms: int, jitter: int
) -> None:
    random = np.random.default_rng(jitter)
    kinds = np.array([kind for kind, length in states for _ in range(length)])
    due_ns = np.cumsum(random.integers(5, 15 + jitter, kinds.size)) * MILLISECOND
    took_ms = np.where(kinds == "s", 150, np.where(kinds == "G", 90, 5))
    outcome = np.where(kinds == "b", Outcome.FAILED, Outcome.OK).astype(np.uint8)
    stream = StreamInfo(index=0, name="x", rate_per_s=100, deadline_ns=SECOND)
    operations = Operations.of(due_ns, due_ns + took_ms * MILLISECOND, outcome, stream)
    steady = Steady(
        success=parse_limit(success), p99=parse_limit("<= 100ms"), for_ns=hold_ms * MILLISECOND
    )
    t0_ns, undone_ns = int(due_ns[-1]) // 5, int(due_ns[-1]) // 2
    end_ns = int(due_ns[-1]) + MILLISECOND
    injected = Window(start_ns=t0_ns, end_ns=t0_ns)
    undone = Window(start_ns=undone_ns, end_ns=undone_ns)
    fault = FaultTimes(injected=injected, proven_ns=t0_ns, undone=undone, undo_proven_ns=undone_ns)
    found = estimate(operations, [fault], steady, end_ns)
    assert found is not None
    earliest_ns = brute_t6(operations, t0_ns, steady, end_ns)
    assert (earliest_ns == t0_ns) == (not found.broken)
    if undone_ns + steady.for_ns > end_ns or earliest_ns + steady.for_ns > end_ns:
        assert found.steady.at_ns == math.inf
    elif found.steady.came:
        assert found.steady.at_ns >= earliest_ns
        rest = operations.within(Window(start_ns=int(earliest_ns), end_ns=end_ns))
        # It is later only where a spell of rough operations that began before ends behind it.
        skipped = rest.due_ns < found.steady.at_ns
        rough = ~(rest.good & keeps(steady.p99, rest.latency_ns))
        assert not skipped.any() or rough[skipped].any()
        assert found.steady.low_ns <= found.steady.at_ns <= found.steady.high_ns


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=="])
def test_a_limit_is_kept_by_an_array_as_by_each_of_its_numbers(op: str) -> None:
    limit = parse_limit(f"{op} 5")
    values = np.array([4, 5, 6])
    assert keeps(limit, values).tolist() == [limit.holds(value) for value in values.tolist()]


RELAPSE = HistoryBuilder(lasts="40s").fault("5s", "11s").outage("5s", "5.2s").outage("7s", "9s")


def test_a_relapse_while_the_fault_is_in_is_an_outage_of_its_own_and_moves_t6_behind_it() -> None:
    found = run(RELAPSE)
    assert found.finding("outage").value == pytest.approx(2 * SECOND, abs=10 * MILLISECOND)
    assert found.finding("outage_total").value == pytest.approx(2.2 * SECOND, abs=20 * MILLISECOND)
    assert found.finding("recovery").value == pytest.approx(4 * SECOND, abs=10 * MILLISECOND)
    assert "the longest of 2 outages: 200 ms" in found.finding("outage").evidence
    assert found.marks.t2 == pytest.approx(5 * SECOND, abs=10 * MILLISECOND)
    assert found.marks.t5 == pytest.approx(9 * SECOND, abs=10 * MILLISECOND)


def test_a_failover_while_the_fault_is_in_is_a_recovery_once_it_has_held_to_the_end() -> None:
    found = run(HistoryBuilder(lasts="40s").fault("5s", "20s").outage("5s", "6s"))
    assert found.finding("recovery").value == pytest.approx(SECOND, abs=10 * MILLISECOND)
    assert found.finding("recovery_after_heal").value == 0


def test_a_steady_state_that_was_not_watched_for_its_span_behind_the_last_undoing_is_none() -> None:
    short = HistoryBuilder(lasts="18s").fault("5s", "15s").outage("5s", "6s")
    assert run(short).finding("recovery").value == math.inf
    whole = run(replace(short, lasts="21s")).finding("recovery")
    assert whole.value == pytest.approx(SECOND, abs=10 * MILLISECOND)


@pytest.mark.parametrize("seed", range(10))
def test_what_the_baseline_tolerates_recovery_tolerates_too(seed: int) -> None:
    builder = HistoryBuilder(lasts="30s", seed=seed).fault("8s", "10s").outage("8s", "10s")
    observation = builder.brown_out(0, "30s", 0.003).build()
    found = analyse(observation)
    published = Operations.from_rows(observation.history.rows, observation.history.streams[0])
    baseline = Window(
        start_ns=observation.load.start_ns, end_ns=observation.faults[0].injected.start_ns
    )
    assert unsteady(published.within(baseline), observation.steady) is None
    assert found.finding("recovery").value == pytest.approx(2 * SECOND, abs=50 * MILLISECOND)
    # Two outages of the fault and of nothing: what always fails now and then is no outage.
    assert found.finding("outage").value == pytest.approx(2 * SECOND, abs=50 * MILLISECOND)
    assert found.finding("outage_total").value == pytest.approx(2 * SECOND, abs=100 * MILLISECOND)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_truth_of_a_brown_out_lies_in_the_bounds_in_19_of_20_runs(share: float) -> None:
    """Of 200 runs of a second at 200/s, which the bounds have to contain with 95 % confidence."""
    inside = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        phase_ns = int(random.integers(0, 5 * MILLISECOND))
        builder = HistoryBuilder(lasts="12s", seed=seed, phase=phase_ns).fault("3s", "4s")
        observation = builder.brown_out("3s", "4s", share).build()
        operations = Operations.from_rows(observation.history.rows, observation.history.streams[0])
        found = estimate(
            operations, observation.faults, observation.steady, observation.load.end_ns
        )
        assert found is not None
        longest = max(found.outages, key=lambda outage: outage.ended.at_ns - outage.began.at_ns)
        low_ns = longest.ended.low_ns - longest.began.high_ns
        inside += low_ns <= SECOND <= longest.ended.high_ns - longest.began.low_ns
    assert inside >= 190, inside


def test_a_brown_out_says_its_share() -> None:
    evidence = run(HistoryBuilder().fault("5s", "6s").brown_out("5s", "6s", 0.5)).finding("outage")
    assert re.search(r"\d\d\.\d% of those due failed, so its edges are less", evidence.evidence)
    whole = run(HistoryBuilder().outage("5s", "6s")).finding("outage").evidence
    assert "of those due" not in whole


@pytest.mark.parametrize("kind", ["outage", "stall", "timeouts"])
def test_a_failover_gap_at_1000_a_second_lies_in_its_bounds(kind: str) -> None:
    for seed in range(150):
        random = np.random.default_rng(seed)
        gone_ns = 2 * SECOND + int(random.integers(0, 2 * MILLISECOND))
        lasts_ns = int(random.integers(20 * MILLISECOND, 200 * MILLISECOND))
        back_ns = gone_ns + lasts_ns
        builder = HistoryBuilder(
            rate_per_s=1000, lasts="4s", hold="1s", latency="400us", seed=seed
        ).fault(gone_ns - MILLISECOND, back_ns, call="10us")
        observation = getattr(builder, kind)(gone_ns, back_ns).build()
        assert observation.deliveries is not None
        rows, received_ns = observation.history.rows, observation.deliveries.received_ns
        # Whatever waited is answered at once, and an answer was on its way when the service went.
        end_ns = observation.start_ns + back_ns
        at_once = (rows["due_ns"] < end_ns) & (rows["done_ns"] >= end_ns)
        rows["done_ns"][at_once] = end_ns + 30_000
        received_ns[received_ns >= end_ns] -= np.minimum(
            received_ns[received_ns >= end_ns] - end_ns, 300_000
        )
        on_its_way_ns = 150_000
        holds_in(analyse(observation).finding("failover"), lasts_ns + on_its_way_ns)
        holds_in(analyse(observation).finding("failover"), lasts_ns)


def test_where_answers_come_late_the_outage_says_by_which_clock_it_is_measured() -> None:
    slow = HistoryBuilder(lasts="30s", deadline="1s").fault("5s", "9s").receiver_away("5s", "9s")
    evidence = run(slow).finding("outage").evidence
    assert (
        "operations are placed by when they came due, and answers came up to 4 s later" in evidence
    )
