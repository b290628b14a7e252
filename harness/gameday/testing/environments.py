"""An environment in memory, to test faults and runs without a server."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gameday.api.edge import EdgeProxy
from gameday.api.environment import (
    Checkpoint,
    ChildProcess,
    Emit,
    Endpoint,
    FreezerState,
    NotReadyError,
    ProcessState,
    Service,
)
from gameday.api.signals import Dispositions
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND
from gameday.model.result import Window
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock

__all__ = ["MemoryEnvironment", "MemoryService"]

_SILENCE_LIMIT_NS = SECOND


@dataclass(slots=True, kw_only=True)
class MemoryService(Service):
    """A service that can be killed, frozen and removed; each of its defects is a field."""

    spec: ServiceSpec
    clock: ManualClock
    survives_signals: bool = False
    end_signal: signal.Signals = signal.SIGTERM
    port_taken_by: str = ""
    """Who listens on its port, if it is not the service."""
    exit_code: int | None = None
    """Reported instead of that of the signal, when set."""
    starts: bool = True
    """Whether it can be started again."""
    answers: bool = True
    """Whether it answers once it lives."""
    shrugs_off: frozenset[signal.Signals] = frozenset()
    """The signals that do not end it."""
    catches: frozenset[signal.Signals] = frozenset()
    """The signals that it has a handler for."""
    ignores: frozenset[signal.Signals] = frozenset()
    takes: bool = True
    """Whether signals are delivered to it."""
    freezes: bool = True
    thaws: bool = True
    answers_frozen: bool = False
    """Whether it answers although it is said to be frozen."""
    removes: bool = True
    drops: bool = True
    """Whether its volume goes when that is asked for."""
    keeps: bool = True
    """Whether its volume stays when that is asked for."""
    markable: bool = True
    inside: tuple[ChildProcess, ...] = ()
    inside_survives: bool = False
    takes_main_along: bool = False
    """Whether it ends when a process inside does."""
    count_accepted_connections: Callable[[], int] = lambda: 0
    """How many are connected to it."""
    upstream: Endpoint = field(default_factory=lambda: Endpoint(host="127.0.0.1", port=1))
    kill_takes_ns: int = SECOND // 1000
    """How long it takes to send it a signal."""
    _sent: set[signal.Signals] = field(default_factory=set)
    _pid: int = 100
    _code: int | None = None
    _body: int = 1
    _volume: int = 1
    _volumes: set[int] = field(default_factory=lambda: {1})
    _markers: set[str] = field(default_factory=set)
    _frozen: bool = False

    def accepted_connections(self) -> int:
        return self.count_accepted_connections()

    def check(self) -> str:
        if self._frozen and not self.answers_frozen:
            self.clock.sleep_ns(_SILENCE_LIMIT_NS)
            raise NotReadyError(f"{self.spec.name} is silent")
        if self._code is not None or not self.answers:
            raise NotReadyError(f"{self.spec.name} does not answer")
        return "a write was answered"

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        checkpoint()
        try:
            return self.check()
        except NotReadyError as error:
            self.clock.sleep_ns(limit_ns)
            raise EnvironmentRefused(str(error)) from error

    def process_state(self) -> ProcessState:
        return ProcessState(
            alive=self._code is None,
            pid=self._pid,
            started=f"start {self._pid}",
            exit_code=self._code,
        )

    def kill(self, number: signal.Signals) -> Window:
        called_ns = self.clock.now_ns()
        self.clock.sleep_ns(self.kill_takes_ns)
        if not self.takes:
            self._sent.add(number)
        elif not self.survives_signals and number not in self.shrugs_off:
            self._code = 128 + number if self.exit_code is None else self.exit_code
        return Window(start_ns=called_ns, end_ns=self.clock.now_ns())

    def signals(self) -> Dispositions:
        if self._code is not None:
            raise EnvironmentRefused(f"{self.spec.name} is dead")
        return Dispositions(
            caught=frozenset(self.catches),
            ignored=frozenset(self.ignores),
            waiting=frozenset(self._sent),
        )

    def start_again(self) -> Window:
        called_ns = self.clock.now_ns()
        self.clock.sleep_ns(SECOND // 1000)
        if self._code is not None and self.starts:
            self._code = None
            self._pid += 1
            self._volumes.add(self._volume)
        return Window(start_ns=called_ns, end_ns=self.clock.now_ns())

    def stranger(self) -> str | None:
        return self.port_taken_by

    def freezer_state(self) -> FreezerState:
        return "frozen" if self._frozen else "running"

    def freeze(self) -> Window:
        if self.freezes:
            self._frozen = True
        return self._now()

    def thaw(self) -> Window:
        if self.thaws:
            self._frozen = False
        return self._now()

    def parts(self) -> frozenset[str]:
        return frozenset({f"body {self._body}", f"volume {self._volume}"})

    def left(self, parts: frozenset[str]) -> frozenset[str]:
        volumes = {f"volume {number}" for number in self._volumes}
        return parts & (volumes | {f"body {self._body}"})

    def remove(self, *, keep_data: bool) -> Window:
        if self.removes:
            self._code = 128 + signal.SIGKILL
            self._body += 1
            if not (self.keeps if keep_data else not self.drops):
                self._volumes.discard(self._volume)
                self._volume += 1
                self._markers.clear()
        return self._now()

    def plant(self, marker: str) -> bool:
        if self.markable:
            self._markers.add(marker)
        return self.markable

    def finds(self, marker: str) -> bool:
        return marker in self._markers

    def child_processes(self) -> tuple[ChildProcess, ...]:
        return self.inside

    def kill_child_processes(
        self, child_processes: tuple[ChildProcess, ...], number: signal.Signals
    ) -> Window:
        if not self.inside_survives:
            self.inside = tuple(i for i in self.inside if i not in child_processes)
            if self.takes_main_along:
                self._code = 128 + number
        return self._now()

    def _now(self) -> Window:
        now_ns = self.clock.now_ns()
        return Window(start_ns=now_ns, end_ns=now_ns)


@dataclass(slots=True, kw_only=True)
class MemoryEnvironment:
    """The services of a target, none of which exists."""

    target: Target
    clock: ManualClock
    services: dict[str, MemoryService] = field(default_factory=dict)
    runtime: str = "memory"
    proxy: str = "none"
    versions: dict[str, str] = field(default_factory=dict)
    up: bool = False
    """Whether it was started, and not stopped since."""
    remains: tuple[str, ...] = ()
    """What it leaves behind when it is stopped."""

    def __post_init__(self) -> None:
        for spec in self.target.services:
            self.services.setdefault(spec.name, MemoryService(spec=spec, clock=self.clock))

    def missing(self) -> tuple[str, ...]:
        return ()

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        self.up = True
        for wave in self.target.waves:
            checkpoint()
            for spec in wave:
                emit(spec.name, 0, "it is in memory")

    def service(self, name: str) -> MemoryService:
        return self.services[name]

    def proxied(self, edge: Edge) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=2 + self.target.edges.index(edge))

    @property
    def edges(self) -> tuple[Edge, ...]:
        return self.target.edges

    def edge(self, edge: Edge) -> EdgeProxy:
        raise EnvironmentRefused(f"there is no proxy for {edge} in {self.runtime}")

    @property
    def run(self) -> str:
        return "memory"

    def scratch(self) -> Path:
        raise EnvironmentRefused(f"there are no files in {self.runtime}")

    def proxy_servers(self) -> tuple[Endpoint, ...]:
        return ()

    def stop(self) -> None:
        self.up = False

    def leftovers(self) -> tuple[str, ...]:
        return self.remains
