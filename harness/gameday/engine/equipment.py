"""What a conductor is given: the parts of a run, each behind the calls that it makes."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gameday.api.environment import Environment
from gameday.api.workload import Ledger
from gameday.engine.injector import Lease
from gameday.engine.scheduler import Scheduler
from gameday.engine.undo_log import UndoRecord
from gameday.load.messages import DriverReport
from gameday.model.history import Connections, Deliveries, FaultTimes, History, HostNoise
from gameday.model.result import Window

__all__ = ["BypassCheck", "Equipment", "Load", "Monitor", "NoiseMeter", "Supervisor"]


class Supervisor(Lease, Protocol):
    """A process outside of the harness that heals when the harness cannot."""

    def start(self) -> None:
        """Return once it is ready."""
        ...

    def check(self) -> None:
        """Raise InternalError when it is gone."""
        ...

    def leave_result(self, path: Path, draft: str) -> None:
        """Let it write that if the harness dies."""
        ...

    def enter(self, phase: str) -> None:
        """Let it know how far the run is."""
        ...

    def dismiss(self) -> None:
        """Let it end without doing anything."""
        ...

    def abandon(self) -> None:
        """Let it remove what is left of the run."""
        ...


class Load(Protocol):
    """The operations that a run makes, at a fixed rate, and their history."""

    def start(self) -> None:
        """Connect to the target, which is up, and offer nothing yet."""
        ...

    def begin(self, at_ns: int) -> None:
        """Let the first operation of each stream be due at `at_ns`."""
        ...

    def poll(self) -> None:
        """Raise InternalError if it has died."""
        ...

    def stop(self, timeout_ns: int) -> DriverReport:
        """End the load and wait for what is still out, that much longer than its deadline."""
        ...

    def kill(self) -> None:
        """Make sure that it is over; what was recorded so far stays."""
        ...

    def history(self) -> History:
        """Return what became of every operation."""
        ...


class Monitor(Protocol):
    """The load as it is seen while it runs."""

    def start(self) -> None:
        """Open the history, of which the load has the files by now."""
        ...

    def look(self, now_ns: int) -> dict[str, float | int | str]:
        """Return the facts of a Progress event; StopConditionMet once that is minded and holds."""
        ...

    def unsteady(self, window: Window) -> str | None:
        """Return why the steady state did not hold in `window`; None when it did."""
        ...

    def has_recovered(self, faults: Sequence[FaultTimes], load_start_ns: int, now_ns: int) -> bool:
        """Tell whether the steady state has held again for its span after every fault."""
        ...

    def mind_the_stop_condition(self, since_ns: int | None) -> None:
        """Let `look` mind what the load was like after that moment; None: no longer."""
        ...

    def close(self) -> None:
        """Look no more."""
        ...


class NoiseMeter(Protocol):
    """How still the host is while it measures."""

    def start(self, proxies: Sequence[str]) -> None:
        """Measure from now on, and ask the proxies at these addresses for signs of life."""
        ...

    def check(self) -> None:
        """Raise EnvironmentRefused if a proxy is silent, InternalError if the meter has died."""
        ...

    def check_proxies(self) -> None:
        """Raise EnvironmentRefused if a proxy does not answer now."""
        ...

    def stop(self, *, driver_cpu: float, lateness_p99_ns: int) -> HostNoise:
        """End, and return what was seen."""
        ...

    def kill(self) -> None:
        """Make sure that it is gone."""
        ...


class BypassCheck(Protocol):
    """Whether the traffic that a fault was to meet went around it."""

    def rest(self) -> None:
        """Read the counters while there is no load: when a span without one begins, and ends."""
        ...

    def begin(self) -> None:
        """Read the counters before the load, and look from now on."""
        ...

    def end_baseline(self) -> None:
        """Read the counters again, before anything is broken."""
        ...

    def stop(self) -> None:
        """Look no more."""
        ...

    def read_counters(self) -> None:
        """Read what passed every proxy, at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """The parts of one run. None of them has begun to do anything."""

    scheduler: Scheduler
    environment: Environment
    supervisor: Supervisor
    undo_record: UndoRecord
    load: Load
    ledger: Ledger
    keep_record: Callable[[Deliveries], None]
    """Keeps the final read of the ledger beside the history, as evidence."""
    monitor: Monitor
    noise_meter: NoiseMeter
    bypass: BypassCheck
    went_around: Callable[[History], Sequence[str]]
    """Says what went around a fault, a sentence each; asked once the load is over."""
    connections: Callable[[Collection[str]], Connections]
    """Asks what became of the connections to what was hit; EnvironmentRefused: it is not told."""
    labelled: Callable[[], AbstractContextManager[None]]
    """While entered, whatever is started carries the labels of the run."""
    heal_abandoned: Callable[[], Iterable[str]]
    """Removes what is left of runs whose owners are dead, with a sentence on each."""
