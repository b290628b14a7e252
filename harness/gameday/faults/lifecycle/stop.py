"""Stop: a service is asked to end, and forced to if it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
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

__all__ = ["Stop", "Stopping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A service is shut down, and later started again with its data.

    Its kind's own signal to the main process; SIGKILL once the grace is over. `for` counts from
    the signal. Proven by the end, its exit code and what of the grace was used. Undone by a new
    start that answers a write on the direct path.
    """

    verb: ClassVar[str] = "stop"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    target: str
    """The service to stop."""
    grace_ns: DurationNs = 10 * SECOND
    """How long it may take to end before SIGKILL; at most 30 s."""
    signal: GracefulSignal | None = None
    """What asks it to end; by default what its kind ends by, mostly SIGTERM."""

    def __post_init__(self) -> None:
        grace_within_bounds(self.grace_ns)

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        clock = environment.clock
        return Stopping(clock, Termination(clock, service), service, self)


class Stopping:
    """One polite end: the signal is the injection, the rest is seen through by its proof."""

    def __init__(
        self, clock: Clock, termination: Termination, service: Service, asked: Stop
    ) -> None:
        self._clock = clock
        self._termination = termination
        self._name = asked.target
        self._grace_ns = asked.grace_ns
        self._number = Signals[asked.signal] if asked.signal else service.end_signal
        self.undo_text = f"start {self._name} again with its data"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        before = self._termination.before
        return {"signal": self._number.name, "grace_ns": self._grace_ns, "pid": before.pid}

    def inject(self) -> Window:
        return self._termination.signal(self._number)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Wait for the end for the grace, then force it: a forced end is proven by its code.

        What was never asked to end is neither waited for nor forced.
        """
        asked_ns = self._termination.signalled_ns
        left_ns = 0 if asked_ns is None else asked_ns + self._grace_ns - self._clock.now_ns()
        process_state = self._termination.await_end(left_ns, checkpoint)
        ran_out = self._termination.hit and not self._termination.ended
        if ran_out:
            process_state = self._termination.force(checkpoint)
        forced_code = 128 + Signals.SIGKILL
        took_ns = None if asked_ns is None else self._clock.now_ns() - asked_ns
        return Proof(
            proven=self._termination.hit
            and self._termination.ended
            and (process_state.exit_code == forced_code) == ran_out,
            measured={
                "pid": self._termination.before.pid,
                "alive_before": self._termination.before.alive,
                "alive": process_state.alive,
                "exit_code": process_state.exit_code,
                "grace_ran_out": ran_out,
                "ended_after_ns": took_ns,
            },
        )

    def is_active(self) -> Proof:
        return self._termination.still_down()

    def lapse(self) -> str:
        return self._termination.lapse()

    def undo(self) -> Window:
        return self._termination.start_again()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A new start and a write on the direct path."""
        return self._termination.prove_new_start(checkpoint)
