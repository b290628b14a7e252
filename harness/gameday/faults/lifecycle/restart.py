"""Restart: a service is stopped and started again at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.faults.lifecycle.stop import Stop, Stopping
from gameday.faults.recipes.termination import (
    PROCESSES,
    GracefulSignal,
    Termination,
    grace_within_bounds,
)
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs

__all__ = ["Restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A service is stopped and started again at once, as an operator would restart it.

    It heals itself: the start follows the end. `for` is only when the harness looks whether the
    service answers again, so write a short one. Proven by the end and by a start of another
    time. Undone by an answer to a write on the direct path; a service that is down is started.
    """

    verb: ClassVar[str] = "restart"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    target: str
    """The service to restart."""
    grace_ns: DurationNs = 10 * SECOND
    """How long it may take to end before SIGKILL; at most 30 s."""
    signal: GracefulSignal | None = None
    """The signal that asks it to end; by default as for `stop`."""

    def __post_init__(self) -> None:
        grace_within_bounds(self.grace_ns)

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        clock = environment.clock
        termination = Termination(clock, service)
        stop = Stop(target=self.target, grace_ns=self.grace_ns, signal=self.signal)
        stopping = Stopping(clock, termination, service, stop)
        return _Restarting(clock, stopping, termination, service)


class _Restarting:
    """One restart: a stop, and a start as soon as that is proven."""

    def __init__(
        self, clock: Clock, stop: Stopping, termination: Termination, service: Service
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._termination = termination
        self._service = service
        self.undo_text = self._stop.undo_text

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return self._stop.asked

    def inject(self) -> Window:
        return self._stop.inject()

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """The end as of a stop, then the start, which must be another one."""
        end = self._stop.prove(checkpoint)
        before = self._termination.before
        asked_ns = self._termination.signalled_ns
        started_ns: int | None = None
        if asked_ns is not None and end.proven:
            self._service.start_again()
            started_ns = self._clock.now_ns() - asked_ns
        after = self._service.process_state()
        new = after.alive and after.start != before.start
        return Proof(
            proven=end.proven and new,
            measured={
                **end.measured,
                "alive": after.alive,
                "started_before": before.started,
                "started_after": after.started,
                "started_again_after_ns": started_ns,
            },
        )

    def undo(self) -> Window:
        return self._stop.undo()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A write on the direct path, by the new start."""
        asked_ns = self._clock.now_ns()
        proof = self._stop.prove_healed(checkpoint)
        # When it answered was not watched: the probes of the run know, this only looks once.
        measured = {k: v for k, v in proof.measured.items() if k != "outage_actual_ns"}
        waited_ns = self._clock.now_ns() - asked_ns
        return Proof(proven=proof.proven, measured={**measured, "answer_waited_for_ns": waited_ns})
