"""Clock drift: a service's wall clock runs too fast or too slow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Bears, Conflicts, Example, Injection, Proof, Requirements
from gameday.api.service_kind import tells_time
from gameday.faults.clock.setting import ClockSetting, both, clock_requirements, clocked
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits

__all__ = ["ClockDrift"]

_SLOWEST, _FASTEST, _LEAST = 0.5, 2.0, 0.05
_RIGHT_TO_NS = SECOND // 20
"""How exactly the clock is known to be right again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDrift:
    """A service's wall clock runs too fast or too slow, and is right again afterwards.

    Mechanism, both environments: as of clock-offset. Sleeps, and waits for input with a timeout,
    run at the service's rate too, as libfaketime has it; the monotonic clock does not. Proven when
    two readings of the service's time, a second apart, are as far from each other as asked, to a
    quarter of the drift. Undone when the rate is 1 and the clock is right again.
    """

    verb: ClassVar[str] = "clock-drift"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[Bears] = tells_time
    """Kinds whose services tell their time by their protocol."""
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its clock", outlives_process=True)
    example: ClassVar[Example] = Example(parameters={"rate": 1.1})
    target: str
    """The service whose clock is set."""
    rate: float
    """Seconds of the service per second of the host: 0.5 to 0.95, or 1.05 to 2."""

    def __post_init__(self) -> None:
        fits = _SLOWEST <= self.rate <= _FASTEST and abs(self.rate - 1) >= _LEAST * 0.999
        require(("rate", fits, "0.5 to 0.95, or 1.05 to 2"))

    def requirements(self, runtime: str) -> Requirements:
        return clock_requirements(self.target)

    def on(self, environment: Environment) -> Injection:
        service = clocked(environment, self.target, self.verb)
        return _Drift(environment.clock, service, self.target, self.rate)


class _Drift(ClockSetting):
    """One drift, from a clock that was right."""

    def __init__(self, clock: Clock, service: Service, name: str, rate: float) -> None:
        super().__init__(clock, service, name, 0, rate)
        self._exact = abs(rate - 1) / 4
        self.asked: Mapping[str, Scalar] = {"rate": self._rate}

    def prove(self, checkpoint: Checkpoint) -> Proof:
        return self.runs_at(self._rate, self._exact, checkpoint)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        rate = self.runs_at(1, self._exact, checkpoint)
        undone = both(rate, self.shifted(0, _RIGHT_TO_NS, checkpoint))
        measured = {f"after_{key}": value for key, value in undone.measured.items()}
        return Proof(proven=undone.proven, measured=measured)
