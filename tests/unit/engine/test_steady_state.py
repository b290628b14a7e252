"""The load as it is seen while it runs: what a look costs, and what it says."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from gameday.analysis.signals import LedgerCounts as Matched
from gameday.analysis.signals import PublishedCounts, match
from gameday.engine.steady_state import SteadyStateMonitor
from gameday.http_reader import HttpReader, HttpReply
from gameday.load.recorder import ROWS, Recorder
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.history import ROW_DTYPE, Deliveries, FaultTimes
from gameday.model.operation import Outcome, StreamInfo
from gameday.model.result import Window
from gameday.model.scenario import Scenario, Steady
from gameday.model.units import parse_limit
from gameday.technologies.app.ledger import RecordLedger
from gameday.technologies.app.publish import checksum
from gameday.testing.clocks import ManualClock

RATE = 200
SPACING_NS = SECOND // RATE
STREAM = StreamInfo(index=0, name="publish", rate_per_s=RATE, deadline_ns=SECOND)
PAGE = 500
ANSWER_NS = 2 * MILLISECOND
START_NS = 1000 * SECOND
HOLD_S = 5


class Receiver(HttpReader):
    """Has received what came due by now, and gives it by pages."""

    def __init__(self, record: list[tuple[int, str, int]], clock: ManualClock) -> None:
        self._record = record
        self._clock = clock

    def get(self, path: str, *, limit_ns: int, most_bytes: int = 0) -> HttpReply:
        after = int(path.partition("after=")[2])
        page = [entry for entry in self._record[after : after + PAGE] if entry[2] <= self._now_ns]
        return HttpReply(status=200, body=json.dumps({"entries": page, "total": 0}).encode())

    @property
    def _now_ns(self) -> int:
        return self._clock.now_ns()

    def close(self) -> None:
        """Hold nothing open."""


class Load:
    """A load of so many seconds, watched each 200 ms, in which some spans were not served."""

    def __init__(
        self,
        folder: Path,
        lasts_s: int,
        *outages_s: tuple[float, float],
        success: str = ">= 99%",
    ) -> None:
        self.clock = ManualClock()
        self.clock.sleep_ns(START_NS - self.clock.now_ns())
        self.lasts_s = lasts_s
        count = lasts_s * RATE
        recorder = Recorder(folder, run="r", streams=[STREAM], capacity=count)
        rows = np.zeros(count, ROW_DTYPE)
        rows["due_ns"] = START_NS + np.arange(count) * SPACING_NS
        rows["sent_ns"] = rows["due_ns"]
        rows["done_ns"] = rows["due_ns"] + ANSWER_NS
        rows["value"] = np.arange(1, count + 1)
        rows["outcome"] = Outcome.OK
        for from_s, until_s in outages_s:
            since_ns = rows["due_ns"] - START_NS
            rows["outcome"][(since_ns >= from_s * SECOND) & (since_ns < until_s * SECOND)] = (
                Outcome.FAILED
            )
        self._rows = rows
        self._file = os.open(folder / ROWS, os.O_WRONLY)
        self._written = 0
        record = [
            (int(row["value"]), checksum("r", int(row["value"])), int(row["done_ns"]))
            for row in rows
            if row["outcome"] == Outcome.OK
        ]
        steady = Steady(
            success=parse_limit(success), p99=parse_limit("<= 100ms"), for_ns=HOLD_S * SECOND
        )
        scenario = SimpleNamespace(steady=steady, safety=SimpleNamespace(stop=None))
        ledger = RecordLedger(Receiver(record, self.clock), "r", self.clock)
        self.monitor = SteadyStateMonitor(folder, ledger, cast(Scenario, scenario))
        self.monitor.start()
        self.recorder = recorder

    def go_on(self, until_s: float) -> None:
        """Let the load go on, with a look at it each 200 ms."""
        until_ns = START_NS + round(until_s * SECOND)
        while self.clock.now_ns() < until_ns:
            self.clock.sleep_ns(200 * MILLISECOND)
            now_ns = self.clock.now_ns()
            ended = int(np.searchsorted(self._rows["done_ns"], now_ns))
            fresh = self._rows[self._written : ended]
            os.pwrite(self._file, fresh.tobytes(), self._written * ROW_DTYPE.itemsize)
            self._written = max(self._written, ended)
            self.monitor.look(now_ns)

    def has_recovered(self, *faults: tuple[float, float]) -> bool:
        times = [_fault(from_s, until_s) for from_s, until_s in faults]
        return self.monitor.has_recovered(times, START_NS, self.clock.now_ns())

    def close(self) -> None:
        self.monitor.close()
        os.close(self._file)
        self.recorder.close()


def _fault(from_s: float, until_s: float) -> FaultTimes:
    t0_ns, t3_ns = (START_NS + round(at * SECOND) for at in (from_s, until_s))
    return FaultTimes(
        injected=Window(start_ns=t0_ns, end_ns=t0_ns + MILLISECOND),
        proven_ns=t0_ns + 2 * MILLISECOND,
        undone=Window(start_ns=t3_ns, end_ns=t3_ns + MILLISECOND),
        undo_proven_ns=t3_ns + 2 * MILLISECOND,
    )


class Work:
    """Counts what looks cost: bytes that are read, and rows and deliveries that are joined."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes_read = self.joined = 0
        pread = os.pread

        def counted_read(file: int, length: int, offset: int) -> bytes:
            data = pread(file, length, offset)
            self.bytes_read += len(data)
            return data

        def counted_match(published: PublishedCounts, deliveries: Deliveries) -> Matched:
            self.joined += published.value.size + deliveries.value.size
            return match(published, deliveries)

        monkeypatch.setattr(os, "pread", counted_read)
        monkeypatch.setattr("gameday.engine.steady_state.match", counted_match)

    def of(self, act: Callable[[], object]) -> tuple[int, int]:
        before = self.bytes_read, self.joined
        act()
        return self.bytes_read - before[0], self.joined - before[1]


def test_a_look_costs_the_same_however_long_the_load_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    load = Load(tmp_path, 240)
    load.go_on(20)
    early = work.of(lambda: load.go_on(21))
    load.go_on(200)
    late = work.of(lambda: load.go_on(201))
    load.close()
    assert late == early
    assert late[1] < 5 * 3 * RATE, "five looks join no more than a second and a bit each"


def test_seeing_whether_it_has_recovered_costs_the_last_spans_and_not_the_whole_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    load = Load(tmp_path, 240, (20, 22), (80, 239.9))
    load.go_on(60)
    early = work.of(lambda: load.has_recovered((20, 22)))
    load.go_on(200)
    late = work.of(lambda: load.has_recovered((80, 100)))
    load.close()
    assert early[1] <= 2 * 3 * HOLD_S * RATE + 100
    assert late[1] <= early[1]
    assert late[0] <= early[0]


def test_it_has_recovered_once_the_steady_state_has_held_for_its_span(tmp_path: Path) -> None:
    load = Load(tmp_path, 60, (20, 24))
    seen = []
    for at_s in range(20, 40):
        load.go_on(at_s)
        seen.append(load.has_recovered((20, 23)))
    load.close()
    assert 24 + HOLD_S <= 20 + seen.index(True) <= 24 + HOLD_S + 1
    assert all(seen[seen.index(True) :])


def test_what_stays_down_long_after_the_undoing_has_not_recovered(tmp_path: Path) -> None:
    load = Load(tmp_path, 120, (20, 119))
    load.go_on(110)
    assert not load.has_recovered((20, 23))
    load.close()


def test_what_recovers_while_the_fault_is_in_is_watched_for_a_span_after_the_undoing(
    tmp_path: Path,
) -> None:
    load = Load(tmp_path, 60, (20, 21))
    load.go_on(32)
    assert not load.has_recovered((20, 30))
    load.go_on(36)
    assert load.has_recovered((20, 30))
    load.close()


def test_what_the_baseline_fails_too_does_not_keep_it_from_having_recovered(
    tmp_path: Path,
) -> None:
    refused = tuple((at / 10 + 0.05, at / 10 + 0.055) for at in range(600))  # 5 %
    load = Load(tmp_path, 60, (20, 42), *refused, success=">= 90%")
    load.go_on(10)
    held = Window(start_ns=START_NS, end_ns=START_NS + 10 * SECOND)
    assert load.monitor.unsteady(held) is None
    load.go_on(42 + HOLD_S - 1)
    assert not load.has_recovered((20, 42))
    load.go_on(42 + HOLD_S + 1.5)
    assert load.has_recovered((20, 42))
    load.close()
