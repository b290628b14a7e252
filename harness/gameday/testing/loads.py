"""A load in memory: what it publishes is acknowledged as long as the target answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gameday.http_reader import NoReply
from gameday.load.messages import DriverReport
from gameday.load.reader import read_history
from gameday.load.recorder import Recorder
from gameday.model.clock import MILLISECOND, SECOND, BackgroundTask, Clock
from gameday.model.history import Deliveries, History, HostNoise
from gameday.model.operation import Outcome, StreamInfo
from gameday.testing.histories import HistoryBuilder

__all__ = ["MemoryLedger", "MemoryLoad", "QuietMeter", "UncheckedBypass"]

_ANSWER_NS = 2 * MILLISECOND
_STREAM = "publish"


@dataclass(slots=True, kw_only=True)
class MemoryLedger:
    """The record of a receiver that has everything that was acknowledged."""

    readable: bool = True
    """Whether the final read succeeds."""
    values: list[int] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    closed: bool = False

    def receive(self, value: int, at_ns: int) -> None:
        self.values.append(value)
        self.received_ns.append(at_ns)

    def poll(self) -> None:
        """Everything was read as it came."""

    def seen(self) -> Deliveries:
        return self._deliveries(0)

    def since(self, at_ns: int) -> Deliveries:
        return self._deliveries(sum(received_ns < at_ns for received_ns in self.received_ns))

    def final_read(self) -> Deliveries:
        if not self.readable:
            raise NoReply("the receiver does not answer")
        return self._deliveries(0)

    def close(self) -> None:
        self.closed = True

    def _deliveries(self, first: int) -> Deliveries:
        return Deliveries(
            value=np.array(self.values[first:], np.uint32),
            received_ns=np.array(self.received_ns[first:], np.int64),
            intact=np.ones(len(self.values) - first, np.bool_),
        )


@dataclass(slots=True, kw_only=True)
class MemoryLoad:
    """One stream of operations, `publish`, that writes a real history into `folder`."""

    clock: Clock
    folder: Path
    ledger: MemoryLedger
    answers: Callable[[], bool]
    """Whether an operation that comes due now succeeds; else it fails at once."""
    rate_per_s: float = 100
    longest_ns: int = 600 * SECOND
    check: Callable[[], None] = lambda: None
    """Raises what a load that has died raises, some times a second."""
    unreadable: Exception | None = None
    """Why its history cannot be read."""
    ended: bool = False
    _recorder: Recorder | None = None
    _task: BackgroundTask | None = None

    def start(self) -> None:
        stream = StreamInfo(index=0, name=_STREAM, rate_per_s=self.rate_per_s, deadline_ns=SECOND)
        rows = int(self.rate_per_s * self.longest_ns / SECOND)
        self._recorder = Recorder(self.folder, run="memory", streams=[stream], capacity=rows)

    def begin(self, at_ns: int) -> None:
        self._started.begin(at_ns)
        self._task = self.clock.in_background(self._offer(at_ns), "load")

    def poll(self) -> None:
        self.check()

    def stop(self, timeout_ns: int) -> DriverReport:
        rows = self._started.rows
        self.kill()
        return DriverReport(
            offered=rows,
            rows=rows,
            cpu_share=0.1,
            lateness_p50_ns=0,
            lateness_p99_ns=0,
            lateness_max_ns=0,
            held=0,
        )

    def kill(self) -> None:
        if self._task is not None:
            self._task.end(0)
        if self._recorder is not None and not self.ended:
            self._recorder.close()
        self.ended = True

    def history(self) -> History:
        if self.unreadable is not None:
            raise self.unreadable
        return read_history(self.folder)

    @property
    def _started(self) -> Recorder:
        assert self._recorder is not None, "it was not started"
        return self._recorder

    def _offer(self, at_ns: int) -> Iterator[int]:
        recorder = self._started
        for value in range(1, recorder.capacity):
            due_ns = at_ns + int((value - 1) * SECOND / self.rate_per_s)
            yield due_ns
            slot = recorder.due(0, value, due_ns)
            recorder.sent(slot, due_ns)
            if self.answers():
                recorder.done(slot, due_ns + _ANSWER_NS, Outcome.OK)
                self.ledger.receive(value, due_ns + _ANSWER_NS // 2)
            else:
                recorder.done(slot, due_ns + _ANSWER_NS, Outcome.FAILED, "refused")


@dataclass(slots=True, kw_only=True)
class QuietMeter:
    """A noise meter on a host that stands still for nobody."""

    silent: Exception | None = None
    """What is raised of a proxy that does not answer in the end."""
    ended: bool = False

    def start(self, proxies: Sequence[str]) -> None:
        """Nothing is measured."""

    def check(self) -> None:
        """No proxy is silent."""

    def check_proxies(self) -> None:
        if self.silent is not None:
            raise self.silent

    def stop(self, *, driver_cpu: float, lateness_p99_ns: int) -> HostNoise:
        noise = HistoryBuilder().build().noise
        assert noise is not None
        self.ended = True
        return noise

    def kill(self) -> None:
        self.ended = True


@dataclass(slots=True, kw_only=True)
class UncheckedBypass:
    """Counters of proxies that there are none of; it keeps when it was asked."""

    calls: list[str] = field(default_factory=list)

    def rest(self) -> None:
        self.calls.append("rest")

    def begin(self) -> None:
        self.calls.append("begin")

    def end_baseline(self) -> None:
        self.calls.append("end baseline")

    def stop(self) -> None:
        self.calls.append("stop")

    def read_counters(self) -> None:
        self.calls.append("read counters")
