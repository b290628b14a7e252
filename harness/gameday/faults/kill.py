"""Kill: the main process of a service dies by a signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import ClassVar

from gameday.environment.protocol import Checkpoint, Environment, Killable
from gameday.errors import EnvironmentRefused
from gameday.faults.ending import DEATH_LIMIT_NS, Ending, EndingSignal
from gameday.faults.protocol import Injection, Proof
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits

__all__ = ["Kill"]

_DEATH_LIMIT_NS = DEATH_LIMIT_NS


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
    signal: EndingSignal = "SIGKILL"

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        if not isinstance(service, Killable):
            raise EnvironmentRefused(f"{self.target} cannot be killed in {environment.runtime}")
        return _Killing(Ending(service, service), self.target, Signals[self.signal])


class _Killing:
    """One kill: proven by how the process ended, undone when a write succeeds directly."""

    def __init__(self, ending: Ending, name: str, number: Signals) -> None:
        self._ending = ending
        self._name = name
        self._number = number

    @property
    def undo_text(self) -> str:
        return f"start {self._name} again with its data"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {"signal": self._number.name, "pid": self._ending.before.pid}

    def inject(self) -> Window:
        return self._ending.signal(self._number)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Wait for the death; of a SIGKILL, only its own exit code is proof."""
        vitals = self._ending.await_end(_DEATH_LIMIT_NS if self._ending.hit else 0, checkpoint)
        # A process may handle any other signal and end with a code of its own, 0 for instance.
        code = 128 + self._number if self._number is Signals.SIGKILL else vitals.exit_code
        return Proof(
            proven=self._ending.hit and self._ending.ended and vitals.exit_code == code,
            measured={
                "pid": self._ending.before.pid,
                "alive_before": self._ending.before.alive,
                "alive": vitals.alive,
                "exit_code": vitals.exit_code,
            },
        )

    def still_in(self) -> Proof:
        return self._ending.still_down()

    def undo(self) -> Window:
        return self._ending.start_again()

    def prove_undone(self, checkpoint: Checkpoint) -> Proof:
        """A new start and a write on the direct path."""
        return self._ending.prove_new_start(checkpoint)
