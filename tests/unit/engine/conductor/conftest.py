"""A whole run in memory: a store that is down for a second while operations come due."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.engine.conductor import Conductor
from gameday.engine.equipment import Equipment
from gameday.engine.planning import Experiment
from gameday.engine.steady_state import SteadyStateMonitor
from gameday.engine.undo_log import UndoRecord
from gameday.model.clock import SECOND
from gameday.model.event import Event, Note, Phase, PhaseEntered
from gameday.model.history import Connections, Deliveries, History
from gameday.model.plan import Plan, PlannedFault, PlannedStream
from gameday.model.result import Result
from gameday.model.scenario import (
    Expectation,
    FaultStep,
    Safety,
    Scenario,
    ServiceSpec,
    Steady,
    StopCondition,
    Target,
    Timeline,
)
from gameday.model.units import parse_limit
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.loads import MemoryLedger, MemoryLoad, QuietMeter, UncheckedBypass
from gameday.testing.outages import LastingOutage, OutageFault, OutageInjection
from gameday.testing.schedulers import ManualScheduler
from gameday.testing.supervisors import MemorySupervisor

TARGET = Target(
    name="shop", title="Shop", path=Path(), services=(ServiceSpec(name="store", kind="redis"),)
)
STREAM = PlannedStream(
    name="publish", client="publish", edge="client -> store", rate_per_s=100, deadline_ns=SECOND
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    verb: ClassVar[str] = "publish"
    to: str = "store"
    ledger: str = "store"


class Listening:
    """Keeps all that it is told, and does something as a phase is entered."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.results: list[Result] = []
        self.as_it_enters: dict[Phase, Callable[[], None]] = {}
        self.also: list[Callable[[Event], None]] = []
        """Others who are told of each event."""

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        for tell in self.also:
            tell(event)
        if isinstance(event, PhaseEntered) and event.phase in self.as_it_enters:
            self.as_it_enters[event.phase]()

    def on_result(self, result: Result) -> None:
        self.results.append(result)

    @property
    def phases(self) -> list[str]:
        return [event.phase for event in self.events if isinstance(event, PhaseEntered)]

    @property
    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Note))


class Environment(MemoryEnvironment):
    """Remembers whether its services were alive when it was stopped."""

    healed_when_stopped: bool | None = None

    def stop(self) -> None:
        super().stop()
        self.healed_when_stopped = all(s.process_state().alive for s in self.services.values())


class Rehearsal:
    """One run. Each of its parts may be changed, or replaced in `equipment`, before `run`."""

    def __init__(
        self,
        folder: Path,
        kind: type[OutageInjection] = LastingOutage,
        *,
        for_ns: int = SECOND,
        success: str = ">= 99%",
        stop: StopCondition | None = None,
        expect: Sequence[Expectation] | None = None,
    ) -> None:
        self.folder = folder
        self.clock = ManualScheduler()
        self.environment = Environment(target=TARGET, clock=self.clock)
        self.store = self.environment.service("store")
        self.supervisor = MemorySupervisor()
        self.ledger = MemoryLedger()
        self.load = MemoryLoad(
            clock=self.clock, folder=folder, ledger=self.ledger, answers=self._answers
        )
        self.noise_meter = QuietMeter()
        self.records: list[Deliveries] = []
        self.bypass = UncheckedBypass()
        self.listening = Listening()
        steady = Steady(success=parse_limit(success), p99=parse_limit("<= 100ms"), for_ns=SECOND)
        recovery = Expectation(name="recovery", finding="recovery", limit=parse_limit("< 5s"))
        timeline = Timeline(baseline_ns=SECOND, recovery_ns=4 * SECOND, quiet_ns=SECOND)
        self.scenario = Scenario(
            name="store-down",
            title="The store is down",
            path=folder / "store-down.yaml",
            target="shop",
            workload=(Workload(),),
            steady=steady,
            timeline=timeline,
            safety=Safety(stop=stop),
            faults=(FaultStep(fault=OutageFault(target="store", kind=kind), for_ns=for_ns),),
            expect=(recovery,) if expect is None else tuple(expect),
        )
        self.plan = _plan(self.scenario, for_ns)
        self.equipment = Equipment(
            scheduler=self.clock,
            environment=self.environment,
            supervisor=self.supervisor,
            undo_record=UndoRecord(folder / "undo.jsonl"),
            load=self.load,
            ledger=self.ledger,
            keep_record=self.records.append,
            monitor=SteadyStateMonitor(folder, self.ledger, self.scenario),
            noise_meter=self.noise_meter,
            bypass=self.bypass,
            went_around=self._went_around,
            connections=lambda _: Connections(lost={}, restored={}),
            labelled=self._labelled,
            heal_abandoned=lambda: (),
        )
        self.labelled = False
        self.went_around: tuple[str, ...] = ()
        self.conductor: Conductor | None = None

    def replace(self, **parts: object) -> None:
        """Put other parts in."""
        self.equipment = replace(self.equipment, **parts)  # type: ignore[arg-type]

    def run(self) -> Result:
        self.conductor = Conductor(
            Experiment(scenario=self.scenario, target=TARGET),
            self.plan,
            self.equipment,
            run="0a1b2c3d",
            folder=self.folder,
            listeners=[self.listening],
        )
        return self.conductor.execute()

    @property
    def result(self) -> Result:
        """The one result that the listeners were told."""
        (result,) = self.listening.results
        return result

    def assert_clean(self) -> None:
        """Everything is undone and ended, and nobody outside is to act."""
        assert self.store.process_state().alive
        assert self.environment.healed_when_stopped
        assert not self.environment.up
        assert self.load.ended
        assert self.noise_meter.ended
        assert self.ledger.closed
        assert self.supervisor.until_ns == {}
        assert self.supervisor.ended == "dismissed"
        assert not self.labelled

    def _answers(self) -> bool:
        return self.store.process_state().alive

    def _went_around(self, history: History) -> tuple[str, ...]:
        return self.went_around

    @contextmanager
    def _labelled(self) -> Iterator[None]:
        self.labelled = True
        yield
        self.labelled = False


def _plan(scenario: Scenario, for_ns: int) -> Plan:
    fault = PlannedFault(
        step=0,
        fault="outage",
        target="store",
        at_ns=0,
        until_ns=for_ns,
        settings={},
        met_by=("publish",),
    )
    return Plan(
        scenario=scenario.name,
        title=scenario.title,
        path=scenario.path.name,
        target=scenario.target,
        runtime="process",
        runtime_why="it is a test",
        proxy="own",
        seed=7,
        parameters={},
        sabotage="",
        waves=(("store",),),
        edges=("client -> store",),
        streams=(STREAM,),
        faults=(fault,),
        expectations=(),
        baseline_ns=scenario.timeline.baseline_ns,
        steady_ns=scenario.steady.for_ns,
        recovery_limit_ns=scenario.timeline.recovery_ns,
        quiet_ns=scenario.timeline.quiet_ns,
    )


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """A run of which nothing goes wrong."""
    return Rehearsal(tmp_path)
