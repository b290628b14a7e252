"""Kill inside: processes of a service die, and its main process does not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import ClassVar

from gameday.api.environment import Checkpoint, ChildProcess, Environment, Service
from gameday.api.fault import Conflicts, Example, Injection, Proof, Requirements
from gameday.faults.recipes.termination import (
    DEATH_LIMIT_NS,
    PROCESSES,
    FatalSignal,
    answers_again,
)
from gameday.faults.timing import until
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import regular, require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE

__all__ = ["KillInside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KillInside:
    """Every process of a service whose command line matches a pattern is killed.

    In docker those are the processes in the container's cgroup, whatever started them; in process
    the descendants of the main process. The main process itself is never hit, even if it matches:
    its end is a fault of another name, kill. Proven when at least one matched and all that matched
    are gone. Undone when the service answers a write on the direct path; if it ended with its
    process, it is started again. What it starts in their place is its own affair, and counted.
    """

    verb: ClassVar[str] = "kill-inside"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    example: ClassVar[Example] = Example(parameters={"pattern": "worker"})
    target: str
    """The service to kill in."""
    pattern: str
    """A regular expression, searched in each process's whole command line."""
    signal: FatalSignal = "SIGKILL"

    def __post_init__(self) -> None:
        require(
            ("pattern", bool(self.pattern), "a regular expression that fits one process"),
            regular("pattern", self.pattern),
        )

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(mechanisms=(CONTAINERS_HERE,) if runtime == "docker" else ())

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        service.child_processes()  # refuses now what would be refused once load is running
        return _KillingInside(environment.clock, self, service)


class _KillingInside:
    """One killing of what matched at that moment."""

    def __init__(self, clock: Clock, fault: KillInside, service: Service) -> None:
        self._clock = clock
        self._fault = fault
        self._service = service
        self._pattern = re.compile(fault.pattern)
        self._hit: tuple[ChildProcess, ...] | None = None
        self.undo_text = f"start {self._fault.target} again if it ended with the process inside"
        self.asked: Mapping[str, Scalar] = {
            "pattern": self._fault.pattern,
            "signal": self._fault.signal,
        }

    def inject(self) -> Window:
        self._hit = self._matching()
        return self._service.kill_child_processes(self._hit, Signals[self._fault.signal])

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """At least one process was hit, and none of those lives."""
        # Of a fault that was never injected, what matches now is still to be gone.
        hit = self._matching() if self._hit is None else self._hit
        limit_ns = DEATH_LIMIT_NS if hit else 0
        gone = until(self._clock, lambda: not self._living(hit), limit_ns, checkpoint)
        first = hit[0] if hit else None
        return Proof(
            proven=gone and bool(hit),
            measured={
                "matched": len(hit),
                "gone": len(hit) - len(self._living(hit)),
                "pid": None if first is None else first.pid,
                "command": None if first is None else first.command.strip()[:80],
                "main_alive": self._service.process_state().alive,
            },
        )

    def undo(self) -> Window:
        return self._service.start_again()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A write on the direct path."""
        answer = answers_again(self._service, checkpoint)
        alive = self._service.process_state().alive
        measured = {**answer.measured, "alive_after": alive}
        if answer.proven:
            measured["matching_after"] = len(self._matching())
        return Proof(proven=answer.proven and alive, measured=measured)

    def _matching(self) -> tuple[ChildProcess, ...]:
        return tuple(i for i in self._service.child_processes() if self._pattern.search(i.command))

    def _living(self, child_processes: tuple[ChildProcess, ...]) -> set[tuple[int, float]]:
        alive = {
            (child_process.pid, child_process.started)
            for child_process in self._service.child_processes()
        }
        return alive & {
            (child_process.pid, child_process.started) for child_process in child_processes
        }
