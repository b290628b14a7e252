"""The end of a service and its new start: what the faults that end a service share."""

from collections.abc import Mapping
from contextlib import suppress
from signal import Signals
from typing import Literal

from gameday.api.environment import Checkpoint, NotReadyError, ProcessState, Service
from gameday.api.fault import Conflicts, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import until
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.units import format_duration

__all__ = [
    "DEATH_LIMIT_NS",
    "LONGEST_NS",
    "PROCESSES",
    "FatalSignal",
    "GracefulSignal",
    "Termination",
    "answers_again",
    "grace_within_bounds",
    "taken_by",
]

DEATH_LIMIT_NS = 5 * SECOND
"""How long a process may take to be gone after SIGKILL, or after a signal that it may handle."""

LONGEST_NS = 30 * SECOND
"""How long the proof of an end may be asked to wait; a run heals what outlives its span by more."""

PROCESSES = Conflicts(acts_on="its processes", takes_process=True)
"""What every fault of a service's processes does to others."""

GracefulSignal = Literal["SIGTERM", "SIGINT", "SIGQUIT"]
"""The signals that ask a process to end by itself."""

FatalSignal = Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGSEGV"]
"""The signals whose default is the end of the process."""

_START_LIMIT_NS = 30 * SECOND


def answers_again(service: Service, checkpoint: Checkpoint) -> Proof:
    """Prove that the service answers a write on the direct path, within the limit of a start.

    A port that accepts proves nothing.
    """
    try:
        evidence = service.wait_until_ready(_START_LIMIT_NS, checkpoint)
    except (EnvironmentRefused, NotReadyError) as error:
        return Proof(proven=False, measured={"error": str(error)})
    return Proof(proven=True, measured={"direct_write": evidence})


def grace_within_bounds(grace_ns: int) -> None:
    """Raise ValueError for a grace that the run could not wait for."""
    require(("grace", grace_ns <= LONGEST_NS, f"at most {format_duration(LONGEST_NS)}"))


def taken_by(service: Service) -> str:
    """Return who listens on the port of a service that is down; empty: nobody, as far as seen."""
    who = service.stranger()
    return f"{who} listened on the port of {service.spec.name}" if who else ""


class Termination:
    """The main process of a service, from the signal that ends it to a new start that answers."""

    def __init__(self, clock: Clock, service: Service) -> None:
        self._clock = clock
        self._service = service
        self.before = service.process_state()
        """The start that is to end."""
        self.signalled_ns: int | None = None
        """When the signal was out; None: it never was, or nothing lived that it could hit."""
        self.ended = False
        """Whether that start was seen to be over."""

    @property
    def hit(self) -> bool:
        """Whether a living start was signalled: an end without that is somebody else's."""
        return self.signalled_ns is not None

    def signal(self, number: Signals) -> Window:
        """Send the signal to the start that lives now; what is dead already is not hit."""
        self.before = self._service.process_state()
        self.ended = False
        self.signalled_ns = None
        if not self.before.alive:
            now_ns = self._clock.now_ns()
            return Window(start_ns=now_ns, end_ns=now_ns)
        bracket = self._service.kill(number)
        self.signalled_ns = self._clock.now_ns()
        return bracket

    def await_end(self, limit_ns: int, checkpoint: Checkpoint) -> ProcessState:
        """Wait for the end, and return what there is then."""
        self.ended = until(
            self._clock, lambda: not self._service.process_state().alive, limit_ns, checkpoint
        )
        return self._service.process_state()

    def force(self, checkpoint: Checkpoint) -> ProcessState:
        """Send SIGKILL to a start that did not end by itself, and wait for its end."""
        self._force()
        return self.await_end(DEATH_LIMIT_NS, checkpoint)

    def start_again(self, *, spare: bool = False) -> Window:
        """Start the service if it is down; one that was signalled is ended first, unless `spare`.

        A start that is still about to end would pass for healthy, and die after the fault.
        """
        forced: Window | None = None
        now = self._service.process_state()
        if not now.alive:
            self.ended = True
        elif not spare and self.hit and now.start == self.before.start:
            forced = self._force()
            self.await_end(DEATH_LIMIT_NS, lambda: None)
        started = self._service.start_again()
        return Window(start_ns=(forced or started).start_ns, end_ns=started.end_ns)

    def still_down(self) -> Proof:
        """Read whether the start that ended is the last one that there was."""
        now = self._service.process_state()
        # Of what has ended the number may be gone.
        anew = now.started != self.before.started
        measured: dict[str, Scalar] = {"alive": now.alive, "started_anew": anew}
        lapse = self.lapse() or self._answered()
        if lapse:
            measured["lapse"] = lapse
        return Proof(proven=not anew and not lapse, measured=measured)

    def lapse(self) -> str:
        """Return who has taken the place of what ended; empty: nobody."""
        if not self.ended:
            return ""
        return taken_by(self._service)

    def _answered(self) -> str:
        """Return that something answers for what ended, where its port alone does not tell."""
        if not self.ended:
            return ""
        if self._service.stranger() is not None:
            return ""  # its port tells
        try:
            self._service.check()
        except Exception:  # it is down, whatever that brings a client to
            return ""
        return f"something answered in the place of {self._service.spec.name}"

    def prove_new_start(self, checkpoint: Checkpoint) -> Proof:
        """Prove that the service answers a write, by a new start if the old one ended."""
        answer = answers_again(self._service, checkpoint)
        if not answer.proven:
            return answer
        now_ns = self._clock.now_ns()
        after = self._service.process_state()
        # A start that was never ended is not a restart: the same start time unmasks it.
        restarted = after.start != self.before.start
        down_ns = None if self.signalled_ns is None else now_ns - self.signalled_ns
        measured: Mapping[str, Scalar] = {
            **answer.measured,
            "pid_after": after.pid,
            "started_before": self.before.started,
            "started_after": after.started,
            "outage_actual_ns": down_ns,
        }
        return Proof(proven=after.alive and restarted == self.ended, measured=measured)

    def _force(self) -> Window | None:
        # It may have ended in between: what counts is what is read afterwards.
        with suppress(EnvironmentRefused, ProcessLookupError):
            return self._service.kill(Signals.SIGKILL)
        return None
