"""What became of the acknowledged signals, against a brute-force reading of the same record."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.analysis import Analysis, analyse
from gameday.analysis.loss import losses, unknown_count
from gameday.analysis.signals import PublishedCounts, match
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.history import Deliveries
from gameday.model.operation import Outcome, StreamInfo
from gameday.testing import HistoryBuilder


def run(builder: HistoryBuilder) -> Analysis:
    return analyse(builder.build())


def a_run() -> HistoryBuilder:
    return HistoryBuilder(lasts="15s").outage("5s", "6s")


CENSUS = ("lost", "phantom", "duplicate", "reordered", "corrupt")


def test_a_healthy_run_lost_nothing_and_says_so_with_every_acknowledged_signal() -> None:
    found = run(a_run())
    assert [found.finding(name).value for name in CENSUS] == [0] * 5
    assert found.finding("lost").samples == 2800
    assert (found.finding("rpo").value, found.finding("rpo").high) == (0, 0)


@pytest.mark.parametrize(
    ("defect", "name", "count", "words"),
    [
        (a_run().lose(7, 300, 301), "lost", 3, "3 of 2800 acknowledged signals"),
        (a_run().duplicate(5, 6), "duplicate", 2, "5, 6"),
        (a_run().reorder(40, 90), "reordered", 50, "40"),
        (a_run().corrupt(11), "corrupt", 1, "1 of 2801"),
        (a_run().phantom(99_999), "phantom", 1, "1 delivered signals were never published"),
        (a_run().refuse(12), "phantom", 1, "1 were refused, yet delivered: 12"),
    ],
)
def test_a_seeded_defect_is_counted_and_named_and_nothing_else_is(
    defect: HistoryBuilder, name: str, count: int, words: str
) -> None:
    found = run(defect)
    finding = found.finding(name)
    assert (finding.value, finding.low, finding.high) == (count, count, count)
    assert words in finding.evidence
    others = [other for other in CENSUS if other != name]
    assert [found.finding(other).value for other in others] == [0] * 4


def test_a_slow_service_is_seen_in_the_p99_and_in_the_availability() -> None:
    found = run(HistoryBuilder(lasts="15s").slow("5s", "10s", "1500ms"))
    assert found.finding("p99").value == pytest.approx(1500 * MILLISECOND, rel=0.01)
    assert found.finding("availability").high == pytest.approx(2 / 3, abs=0.001)


def test_holes_are_told_from_a_tail() -> None:
    holes = run(a_run().lose(7, 8)).finding("lost").evidence
    assert "7, 8; 2 are holes" in holes
    last = a_run().signals_due("14.9s", "15s")
    assert f"and {len(last)} are the tail" in run(a_run().lose(*last)).finding("lost").evidence


def test_at_most_ten_of_the_lost_are_named() -> None:
    evidence = run(a_run().lose(*range(1, 30))).finding("lost").evidence
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...;" in evidence


def test_rpo_is_the_age_of_the_oldest_lost_signal_when_the_fault_was_asked_for() -> None:
    builder = a_run()
    (signal,) = builder.signals_due("4s", "4.001s")
    finding = run(builder.lose(signal)).finding("rpo")
    assert finding.value == pytest.approx(998 * MILLISECOND, abs=MILLISECOND)
    assert finding.low is not None
    assert finding.high == finding.low + MILLISECOND


def test_rpo_is_zero_when_only_what_was_acknowledged_after_the_fault_is_lost() -> None:
    builder = a_run()
    assert run(builder.lose(*builder.signals_due("7s", "8s"))).finding("rpo").high == 0


def test_few_acknowledged_signals_cannot_show_that_none_is_lost_but_can_show_a_loss() -> None:
    few = HistoryBuilder(lasts="15s", rate_per_s=10).outage("5s", "6s")
    finding = run(few).finding("lost")
    assert finding.value is None
    assert "too few acknowledged: 50" in finding.evidence
    assert run(few).finding("rpo").value is None
    assert run(few.lose(3)).finding("lost").value == 1


def test_without_writes_at_the_moment_of_the_fault_nothing_is_said_of_loss() -> None:
    idle = HistoryBuilder(lasts="15s").fault("8s", "9s").outage("6s", "9s")
    finding = run(idle).finding("lost")
    assert finding.value is None
    assert "the last was acknowledged 2 s before" in finding.evidence


def test_signals_that_were_under_way_together_cannot_be_out_of_order() -> None:
    together = HistoryBuilder(lasts="15s", latency="50ms", rate_per_s=200).outage("5s", "6s")
    assert run(together.reorder(40, 41)).finding("reordered").value == 0
    assert run(HistoryBuilder(lasts="15s").reorder(40, 41)).finding("reordered").value == 1


def test_a_second_copy_does_not_make_a_signal_late() -> None:
    observation = a_run().build()
    deliveries = observation.deliveries
    assert deliveries is not None
    copied = replace(
        deliveries,
        value=np.append(deliveries.value, deliveries.value[:100]),
        received_ns=np.append(deliveries.received_ns, deliveries.received_ns[:100] + 9 * SECOND),
        intact=np.append(deliveries.intact, deliveries.intact[:100]),
    )
    found = analyse(replace(observation, deliveries=copied))
    assert found.finding("duplicate").value == 100
    assert found.finding("availability") == analyse(observation).finding("availability")


def test_unknown_signals_are_counted_with_what_became_of_them() -> None:
    finding = run(a_run().forget(3, 4, 5)).finding("unknown")
    assert finding.value == 3
    assert "3 of them arrived even so (recovered), 0 did not" in finding.evidence


def test_without_a_final_read_everything_from_end_to_end_is_unmeasured() -> None:
    found = run(a_run().without_final_read())
    measured = {finding.name for finding in found.findings if finding.value is not None}
    assert measured == {
        "recovery_front",
        "recovery_direct",
        "proxy_share",
        "publish_availability",
        "unknown",
        "schedule_lag",
        "achieved",
        "hiccup",
        "disk_stall",
        "proxy_stall",
    }
    assert "could not be read" in found.finding("recovery").evidence
    assert found.marks.t0 == 5 * SECOND
    assert found.marks.t6 is None


ids = st.integers(0, 12)


@settings(max_examples=400)
@given(
    outcomes=st.lists(st.sampled_from(list(Outcome)), max_size=10),
    sends=st.lists(st.integers(1, 40), min_size=10, max_size=10),
    takes=st.lists(st.integers(1, 15), min_size=10, max_size=10),
    received=st.lists(st.tuples(ids, st.booleans()), max_size=15),
    scale=st.sampled_from([1, 10_000_000]),
    offset=st.integers(0, 3),
)
def test_the_ledger_agrees_with_counting_one_by_one(
    outcomes: list[Outcome],
    sends: list[int],
    takes: list[int],
    received: list[tuple[int, bool]],
    scale: int,
    offset: int,
) -> None:
    count = len(outcomes)
    value = (np.arange(count, dtype=np.int64) + offset) * scale
    sent = np.array(sends[:count], np.int64)
    acked = sent + np.array(takes[:count], np.int64)
    published = PublishedCounts(
        stream=StreamInfo(index=0, name="publish", rate_per_s=100, deadline_ns=SECOND),
        value=value,
        due_ns=np.arange(count, dtype=np.int64),
        sent_ns=sent,
        acked_ns=acked,
        outcome=np.array(outcomes, np.uint8),
    )
    deliveries = Deliveries(
        value=np.array([number * scale for number, _ in received], np.uint32),
        received_ns=np.arange(len(received), dtype=np.int64),
        intact=np.array([intact for _, intact in received], np.bool_),
    )
    ledger = match(published, deliveries)
    found = {finding.name: finding.value for finding in losses(ledger, None)}

    whole = [number * scale for number, intact in received if intact]
    copies = Counter(whole)
    values = value.tolist()
    place = {number: i for i, (n, intact) in reversed(list(enumerate(received))) if intact
             for number in [n * scale]}  # fmt: skip
    lost = [v for v, o in zip(values, outcomes, strict=True) if o is Outcome.OK and not copies[v]]
    assert found["lost"] == (len(lost) or None)
    refused = [v for v, o in zip(values, outcomes, strict=True) if o is Outcome.FAILED]
    assert found["phantom"] == sum(1 for v in copies if v not in values or v in refused)
    assert found["duplicate"] == sum(1 for v in values if copies[v] > 1)
    assert found["corrupt"] == len(received) - len(whole)
    assert found["reordered"] == sum(
        1
        for a in range(count)
        if outcomes[a] is Outcome.OK
        and values[a] in place
        and any(
            values[b] in place and sent[b] > acked[a] and place[values[b]] < place[values[a]]
            for b in range(count)
        )
    )
    open_ones = (Outcome.UNKNOWN, Outcome.PENDING)
    unknown = unknown_count(published, ledger)
    assert unknown.value == sum(outcome in open_ones for outcome in outcomes)
