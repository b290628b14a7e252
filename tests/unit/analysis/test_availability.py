"""Availability says exactly what clients got, and every operation that came due counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.analysis import Analysis, analyse
from gameday.analysis.availability import availability
from gameday.analysis.connections import supported_rate
from gameday.analysis.latency import latencies
from gameday.analysis.operations import Operations
from gameday.analysis.series import time_series
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.history import Connections
from gameday.model.operation import Outcome, StreamInfo
from gameday.testing import HistoryBuilder


def run(builder: HistoryBuilder) -> Analysis:
    return analyse(builder.build())


def test_an_error_is_no_service_whether_or_not_the_data_was_written() -> None:
    found = run(HistoryBuilder(lasts="10s").forget(*range(1, 21)))
    finding = found.finding("availability")
    assert (finding.low, finding.value, finding.high) == (0.99, 0.99, 0.99)
    assert finding.samples == 2000
    assert "20 got an error, 0 got nothing by their deadline" in finding.evidence
    # Of the data it is another question, and stays one.
    assert found.finding("unknown").value == 20


def test_silence_until_the_deadline_is_no_service() -> None:
    finding = run(HistoryBuilder(lasts="10s").timeouts("4s", "5s")).finding("availability")
    assert finding.low == finding.high == pytest.approx(0.9, abs=0.001)
    assert "0 got an error, 200 got nothing by their deadline" in finding.evidence


def test_what_was_acknowledged_and_never_delivered_is_not_available() -> None:
    found = run(HistoryBuilder(lasts="10s").lose(*range(1, 21)))
    assert found.finding("availability").high == 0.99
    assert found.finding("publish_availability").low == 1.0


def test_a_delivery_after_the_deadline_is_late_and_not_available() -> None:
    found = run(HistoryBuilder(lasts="10s", deadline="1s").receiver_away("4s", "7s"))
    assert found.finding("availability").high == pytest.approx(0.8, abs=0.002)
    assert found.finding("publish_availability").low == 1.0
    assert "401 late, 0 got an error" in found.finding("availability").evidence


def test_an_operation_that_was_never_sent_counts_as_failed() -> None:
    found = run(HistoryBuilder(lasts="10s").leave_pending(*range(1, 101)))
    assert found.finding("availability").high == 0.95
    assert found.finding("achieved").value == 0.95
    assert found.finding("unknown").value == 0


def test_a_refused_operation_stays_failed_though_it_was_delivered() -> None:
    found = run(HistoryBuilder(lasts="10s").refuse(*range(1, 21)))
    assert found.finding("availability").high == 0.99


stream = StreamInfo(index=0, name="x", rate_per_s=100, deadline_ns=20)
outcomes = st.sampled_from([Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN])


@settings(max_examples=300)
@given(rows=st.lists(st.tuples(outcomes, st.integers(1, 30)), min_size=1, max_size=60))
def test_availability_and_percentiles_agree_with_counting_one_by_one(
    rows: list[tuple[Outcome, int]],
) -> None:
    due = np.arange(len(rows), dtype=np.int64)
    took = np.array([took for _, took in rows], np.int64)
    outcome = np.array([outcome for outcome, _ in rows], np.uint8)
    operations = Operations.of(due, due + took, outcome, stream)
    good = sum(outcome is Outcome.OK and took <= 20 for outcome, took in rows)
    finding = availability("availability", operations, served="served")
    assert finding.low == finding.high == finding.value == good / len(rows)

    served = [float(took) for outcome, took in rows if outcome is Outcome.OK]
    silent = sum(outcome is not Outcome.OK and took >= 20 for outcome, took in rows)
    for found, per_cent in zip(latencies(operations), (50, 99), strict=True):
        if not served and not silent:
            assert found.value is None
            continue

        def least(values: list[float], share: int = per_cent) -> float:
            return next(
                v for i, v in enumerate(sorted(values), 1) if 100 * i >= share * len(values)
            )

        assert found.low == least([*served, *[20.0] * silent])
        assert found.value == found.high == least([*served, *[float("inf")] * silent])


def test_an_answer_that_never_came_is_slower_than_the_deadline_and_an_error_has_no_time() -> None:
    silent = run(HistoryBuilder(lasts="10s").timeouts("4s", "4.5s")).finding("p99")
    assert (silent.low, silent.value, silent.high) == (SECOND, float("inf"), float("inf"))
    errors = run(HistoryBuilder(lasts="10s").forget(*range(1, 101))).finding("p99")
    assert errors.value == errors.low == errors.high
    assert errors.value == pytest.approx(3 * MILLISECOND, rel=0.05)


def test_reconnection_success_is_a_census_and_says_what_it_supports() -> None:
    builder = HistoryBuilder().connections(lost={"a": 1, "b": 1}, restored={"a": 1, "b": 1})
    finding = run(builder).finding("reconnection_success")
    assert (finding.low, finding.high, finding.samples) == (1, 1, 2)
    assert "at least 22.4%" in finding.evidence
    half = HistoryBuilder().connections(lost={"a": 1, "b": 1}, restored={"a": 1})
    assert run(half).finding("reconnection_success").value == 0.5


def test_a_service_that_restored_more_than_it_lost_does_not_make_up_for_another() -> None:
    builder = HistoryBuilder().connections(lost={"a": 1, "b": 1}, restored={"a": 5})
    assert run(builder).finding("reconnection_success").value == 0.5


@pytest.mark.parametrize("connections", [None, Connections(lost={"a": 0}, restored={"a": 0})])
def test_without_a_lost_connection_there_is_no_reconnection_success(
    connections: Connections | None,
) -> None:
    builder = HistoryBuilder()
    if connections is not None:
        builder = builder.connections(lost=connections.lost, restored=connections.restored)
    assert run(builder).finding("reconnection_success").value is None


@pytest.mark.parametrize(
    ("successes", "trials", "rate"),
    [(59, 59, 0.9505), (92, 93, 0.95), (19, 20, 0.784), (0, 5, 0.0), (298, 298, 0.99)],
)
def test_the_supported_rate_is_the_exact_binomial_bound(
    successes: int, trials: int, rate: float
) -> None:
    assert supported_rate(successes, trials) == pytest.approx(rate, abs=0.001)


def test_the_series_counts_every_operation_once_and_gives_each_slot_its_own_latency() -> None:
    builder = HistoryBuilder(lasts="10s").outage("5s", "6s").slow("8s", "8.1s", "300ms")
    found = run(builder.forget(1))
    series = found.series
    assert (series.start_ns, series.slot_ns, len(series.ok)) == (0, SECOND // 10, 100)
    assert sum(series.ok) == 1799
    assert sum(series.failed) == 200
    assert (series.unknown[0], sum(series.unknown)) == (1, 1)
    assert series.p50_ns[50:60] == (None,) * 10
    assert series.p50_ns[80] == series.p99_ns[80] == 300 * MILLISECOND
    assert all(p50 is not None and p50 < 3 * MILLISECOND for p50 in series.p50_ns[81:])


@pytest.mark.parametrize("seed", range(5))
def test_each_slots_percentiles_are_those_of_its_own_operations(seed: int) -> None:
    observation = HistoryBuilder(lasts="2s", latency="40ms", rate_per_s=5000, seed=seed).build()
    operations = Operations.from_rows(observation.history.rows, observation.history.streams[0])
    series = time_series(operations, observation.load, observation.start_ns)
    latency_ns = (operations.done_ns - operations.due_ns).tolist()
    slots = [sorted(latency_ns[first : first + 500]) for first in range(0, 10_000, 500)]
    assert series.p50_ns == tuple(slot[249] for slot in slots)
    assert series.p99_ns == tuple(slot[494] for slot in slots)


def test_a_long_run_has_wider_slots_and_not_more_of_them() -> None:
    series = run(HistoryBuilder(lasts="700s", rate_per_s=10)).series
    assert (series.slot_ns, len(series.ok), sum(series.ok)) == (3 * SECOND // 10, 2334, 7000)
