"""A stage for faults: two services in memory, and who listens to what is done to them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from gameday.api.fault import Fault
from gameday.engine.event_bus import EventBus
from gameday.engine.injector import Injector
from gameday.engine.scheduler import Scheduler
from gameday.engine.undo_log import UndoRecord
from gameday.errors import InternalError
from gameday.model.clock import SECOND
from gameday.model.event import Event
from gameday.model.history import ROW_DTYPE, History
from gameday.model.operation import StreamInfo
from gameday.model.plan import PlannedFault
from gameday.model.result import FaultRecord, Result
from gameday.model.scenario import ServiceSpec, Target
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.outages import OutageFault, OutageInjection
from gameday.testing.schedulers import ManualScheduler


class Listening:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_result(self, result: Result) -> None:
        raise AssertionError(result)


class Leased:
    """Whoever heals from outside: what is held there, and whether anybody is."""

    def __init__(self) -> None:
        self.until_ns: dict[int, int] = {}
        self.gone = False

    def fault_until(self, step: int, until_ns: int) -> None:
        if self.gone:
            raise InternalError("the janitor is gone")
        self.until_ns[step] = until_ns

    def healed(self, step: int) -> None:
        del self.until_ns[step]


class Stage:
    """Two services, `a` and `b`, of which each is down for a while: one inside of the other."""

    def __init__(
        self,
        folder: Path,
        first: type[OutageInjection] = OutageInjection,
        second: type[OutageInjection] = OutageInjection,
        *,
        later_ns: int = SECOND,
        lasts_ns: int = 2 * SECOND,
        scheduler: ManualScheduler | None = None,
    ) -> None:
        """`later_ns`: when the second fault comes; `lasts_ns`: how long each is in."""
        self.clock = scheduler or ManualScheduler()
        services = tuple(ServiceSpec(name=name, kind="redis") for name in ("a", "b"))
        target = Target(name="t", title="T", path=folder, services=services)
        self.environment = MemoryEnvironment(target=target, clock=self.clock)
        self.listening = Listening()
        self.file = folder / "undo.jsonl"
        self.record = UndoRecord(self.file)
        self.lease = Leased()
        self.start_ns = self.clock.now_ns()
        planned = [
            PlannedFault(
                step=step,
                fault="outage",
                target=target,
                at_ns=step * later_ns,
                until_ns=step * later_ns + lasts_ns,
                settings={},
                exposure=2,
                met_by=(target,),
            )
            for step, target in enumerate("ab")
        ]
        faults: list[Fault] = [
            OutageFault(target=target, kind=kind)
            for target, kind in zip("ab", (first, second), strict=True)
        ]
        scheduling: Scheduler = self.clock
        self.injector = Injector(
            faults,
            planned,
            self.environment,
            EventBus([self.listening], self.clock),
            self.record,
            self.lease,
            scheduling,
        )

    def wait_until(self, at_ns: int) -> None:
        self.clock.sleep_ns(at_ns - self.clock.now_ns())

    def play(self) -> bool:
        return self.injector.play(self.wait_until, self.clock.now_ns(), lambda: None)

    def alive(self, name: str) -> bool:
        return self.environment.service(name).process_state().alive

    def injection(self, name: str) -> OutageInjection:
        """What was done to that service."""
        active = next(a for a in self.injector._active if a.planned.target == name)
        assert isinstance(active.injection, OutageInjection)
        return active.injection

    def records(self, met: int | None = 2) -> tuple[FaultRecord, ...]:
        """Return what each fault came to, if that many operations came due while it was in."""
        return self.injector.records(None if met is None else self._history(met))

    def _history(self, met: int) -> History:
        times = self.injector.times()
        rows = np.zeros(met * len(times), ROW_DTYPE)
        for number, fault in enumerate(times):
            mine = slice(number * met, (number + 1) * met)
            rows["due_ns"][mine], rows["stream"][mine] = fault.injected.start_ns, number
        streams = tuple(
            StreamInfo(index=index, name=name, rate_per_s=1, deadline_ns=SECOND)
            for index, name in enumerate("ab")
        )
        return History(rows=rows, streams=streams, errors=("",))

    def told(self, *kinds: type[Event]) -> Sequence[Event]:
        """Return the events of these kinds."""
        return [event for event in self.listening.events if isinstance(event, kinds)]


class SetUp(Protocol):
    def __call__(
        self,
        first: type[OutageInjection] = OutageInjection,
        second: type[OutageInjection] = OutageInjection,
        *,
        later_ns: int = SECOND,
        lasts_ns: int = 2 * SECOND,
    ) -> Stage: ...


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SetUp]:
    """Set up a stage."""
    with ExitStack() as records:

        def make(
            first: type[OutageInjection] = OutageInjection,
            second: type[OutageInjection] = OutageInjection,
            *,
            later_ns: int = SECOND,
            lasts_ns: int = 2 * SECOND,
        ) -> Stage:
            stage = Stage(tmp_path, first, second, later_ns=later_ns, lasts_ns=lasts_ns)
            records.enter_context(stage.record)
            return stage

        yield make


@pytest.fixture
def stage(set_up: SetUp) -> Stage:
    """The usual stage: each service is down for 2 s, the second from a second later."""
    return set_up()
