"""Lifecycle faults: kill."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from signal import Signals
from typing import ClassVar, Literal

from gameday.environment.protocol import Checkpoint, Environment, Killable, NotReadyError, Service
from gameday.errors import EnvironmentRefused
from gameday.faults.protocol import Injection, Proof
from gameday.model.clock import SECOND
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits

__all__ = ["Kill"]

_DEATH_LIMIT_NS = 5 * SECOND
_START_LIMIT_NS = 30 * SECOND
_PAUSE_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The main process of a service dies by a signal, and is started again with its data.

    SIGKILL of a process leaves the operating system's page cache alone: what the process wrote
    and did not sync survives. It does not test fsync. In a container the main process is number
    1, which the kernel shields from every signal but SIGKILL that it has no handler for; a
    signal that does not end the process is not proven, and the run INVALID.
    """

    verb: ClassVar[str] = "kill"
    hits: ClassVar[Hits] = "service"
    target: str
    """The service to kill."""
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGSEGV"] = "SIGKILL"

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        if not isinstance(service, Killable):
            raise EnvironmentRefused(f"{self.target} cannot be killed in {environment.runtime}")
        return _Killing(service, service, Signals[self.signal])


class _Killing:
    """One kill: proven by how the process ended, undone when a write succeeds directly."""

    def __init__(self, service: Service, victim: Killable, number: Signals) -> None:
        self._service = service
        self._victim = victim
        self._number = number
        self._before = victim.vitals()
        self._died = False
        self._outage_start_ns: int | None = None

    @property
    def undo_text(self) -> str:
        return f"start {self._service.spec.name} again with its data"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {"signal": self._number.name, "pid": self._before.pid}

    def inject(self) -> Window:
        self._before = self._victim.vitals()
        bracket = self._victim.kill(self._number)
        self._outage_start_ns = bracket.end_ns
        return bracket

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Wait for the death; of a SIGKILL, only its own exit code is proof."""
        self._died = self._wait(
            lambda: not self._victim.vitals().alive, _DEATH_LIMIT_NS, checkpoint
        )
        vitals = self._victim.vitals()
        # A process may handle any other signal and end with a code of its own, 0 for instance.
        code = 128 + self._number if self._number is Signals.SIGKILL else vitals.exit_code
        return Proof(
            proven=self._died and vitals.exit_code == code,
            measured={
                "pid": self._before.pid,
                "alive": vitals.alive,
                "exit_code": vitals.exit_code,
            },
        )

    def undo(self) -> Window:
        return self._victim.start_again()

    def prove_undone(self, checkpoint: Checkpoint) -> Proof:
        """A new start and a write on the direct path; a port that accepts proves nothing."""
        try:
            evidence = self._service.wait_until_ready(_START_LIMIT_NS, checkpoint)
        except (EnvironmentRefused, NotReadyError) as error:
            return Proof(proven=False, measured={"error": str(error)})
        now_ns = time.monotonic_ns()
        after = self._victim.vitals()
        # A start that was never ended is not a restart: the same start time unmasks it.
        restarted = (after.started, after.pid) != (self._before.started, self._before.pid)
        started_ns = self._outage_start_ns
        return Proof(
            proven=after.alive and restarted == self._died,
            measured={
                "direct_write": evidence,
                "pid_after": after.pid,
                "started_before": self._before.started,
                "started_after": after.started,
                "outage_actual_ns": None if started_ns is None else now_ns - started_ns,
            },
        )

    @staticmethod
    def _wait(fact: Callable[[], bool], limit_ns: int, checkpoint: Checkpoint) -> bool:
        give_up_ns = time.monotonic_ns() + limit_ns
        while not fact():
            if time.monotonic_ns() > give_up_ns:
                return False
            checkpoint()
            time.sleep(_PAUSE_S)
        return True
