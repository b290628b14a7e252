"""A fault that does nothing, to prove that a fault which does nothing is found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Fault, Injection, Proof
from gameday.faults.timing import timed
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.targeting import Pairs, pairs_of

__all__ = ["Noop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noop:
    """Stands in for a fault, asks for nothing, and is measured by that fault's own proofs."""

    verb: ClassVar[str] = "dud"
    hits: ClassVar[Hits] = "service"
    fault: Fault

    @property
    def target(self) -> str:
        return self.fault.target

    def pairs(self) -> Pairs | None:
        return pairs_of(self.fault)

    def on(self, environment: Environment) -> Injection:
        return _NoopInjection(environment.clock, self.fault.on(environment))


class _NoopInjection:
    def __init__(self, clock: Clock, real: Injection) -> None:
        self._clock = clock
        self._real = real
        self.undo_text = self._real.undo_text
        self.asked: Mapping[str, Scalar] = self._real.asked

    def inject(self) -> Window:
        return timed(self._clock)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        return self._real.prove(checkpoint)

    def undo(self) -> Window:
        return self._real.undo()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        return self._real.prove_healed(checkpoint)
