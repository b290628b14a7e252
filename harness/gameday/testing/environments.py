"""An environment in memory, to test faults and runs without a server."""

import signal
from dataclasses import dataclass, field

from gameday.environment.protocol import (
    Checkpoint,
    Emit,
    Endpoint,
    NotReadyError,
    Vitals,
)
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND
from gameday.model.result import Window
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock

__all__ = ["MemoryEnvironment", "MemoryService"]


@dataclass(slots=True, kw_only=True)
class MemoryService:
    """A service that can be killed; each of its defects is a field."""

    spec: ServiceSpec
    clock: ManualClock
    survives_signals: bool = False
    exit_code: int | None = None
    """Reported instead of that of the signal, when set."""
    starts: bool = True
    """Whether it can be started again."""
    answers: bool = True
    """Whether it answers once it lives."""
    direct: Endpoint = field(default_factory=lambda: Endpoint(host="127.0.0.1", port=1))
    _pid: int = 100
    _code: int | None = None

    def check(self) -> str:
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

    def vitals(self) -> Vitals:
        return Vitals(
            alive=self._code is None,
            pid=self._pid,
            started=f"start {self._pid}",
            exit_code=self._code,
        )

    def kill(self, number: signal.Signals) -> Window:
        called_ns = self.clock.now_ns()
        self.clock.sleep_ns(SECOND // 1000)
        if not self.survives_signals:
            self._code = 128 + number if self.exit_code is None else self.exit_code
        return Window(start_ns=called_ns, end_ns=self.clock.now_ns())

    def start_again(self) -> Window:
        called_ns = self.clock.now_ns()
        self.clock.sleep_ns(SECOND // 1000)
        if self._code is not None and self.starts:
            self._code = None
            self._pid += 1
        return Window(start_ns=called_ns, end_ns=self.clock.now_ns())


@dataclass(slots=True, kw_only=True)
class MemoryEnvironment:
    """The services of a target, none of which exists."""

    target: Target
    clock: ManualClock
    services: dict[str, MemoryService] = field(default_factory=dict)
    runtime: str = "memory"
    proxy: str = "none"

    def __post_init__(self) -> None:
        for spec in self.target.services:
            self.services.setdefault(spec.name, MemoryService(spec=spec, clock=self.clock))

    def missing(self) -> tuple[str, ...]:
        return ()

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        for wave in self.target.waves:
            checkpoint()
            for spec in wave:
                emit(spec.name, 0, "it is in memory")

    def service(self, name: str) -> MemoryService:
        return self.services[name]

    def front(self, edge: Edge) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=2 + self.target.edges.index(edge))

    def stop(self) -> None:
        """Nothing was started."""

    def leftovers(self) -> tuple[str, ...]:
        return ()
