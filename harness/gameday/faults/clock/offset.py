"""Clock offset: a service's wall clock is ahead or behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Bears, Conflicts, Example, Injection, Proof, Requirements
from gameday.api.service_kind import tells_time
from gameday.faults.clock.setting import ClockSetting, clock_requirements, clocked
from gameday.model.clock import MINUTE, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import OffsetNs

__all__ = ["ClockOffset"]

_LEAST_NS = SECOND
_MOST_NS = 366 * 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """A service's wall clock jumps ahead or back, and is right again afterwards.

    Mechanism, both environments: the service is started with libfaketime, which answers for the C
    library's clock by what a file says. Its monotonic clock, by which timeouts are counted, stays
    true. Proven when the service itself, asked by its protocol, is off by the offset to within
    what the asking took. Undone when it is off by nothing.
    """

    verb: ClassVar[str] = "clock-offset"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[Bears] = tells_time
    """Kinds whose services tell their time by their protocol."""
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its clock", outlives_process=True)
    example: ClassVar[Example] = Example(parameters={"offset_ns": MINUTE})
    target: str
    """The service whose clock is set."""
    offset_ns: OffsetNs
    """+5min is ahead, -5min is behind; 1s to 8784h."""

    def __post_init__(self) -> None:
        fits = _LEAST_NS <= abs(self.offset_ns) <= _MOST_NS
        require(("offset", fits, "1s to 8784h, with a sign"))

    def requirements(self, runtime: str) -> Requirements:
        return clock_requirements(self.target)

    def on(self, environment: Environment) -> Injection:
        service = clocked(environment, self.target, self.verb)
        return _Jump(environment.clock, service, self.target, self.offset_ns)


class _Jump(ClockSetting):
    """One jump, which is proven to a tenth of it."""

    def __init__(self, clock: Clock, service: Service, name: str, offset_ns: int) -> None:
        super().__init__(clock, service, name, offset_ns, 1)
        self._exact_ns = abs(offset_ns) // 10
        self.asked: Mapping[str, Scalar] = {"offset_ns": self._offset_ns}

    def prove(self, checkpoint: Checkpoint) -> Proof:
        return self.shifted(self._offset_ns, self._exact_ns, checkpoint)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        undone = self.shifted(0, self._exact_ns, checkpoint)
        measured = {f"after_{key}": value for key, value in undone.measured.items()}
        return Proof(proven=undone.proven, measured=measured)
