"""What the clock faults share: a clock that is set, and read against this host's."""

from collections.abc import Mapping

from gameday.api.clocks import Reading
from gameday.api.environment import Checkpoint, Environment, Features, NotReadyError, Service
from gameday.api.fault import Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import rest, until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.runtimes.mechanisms.clocks import LIBFAKETIME

__all__ = ["ClockSetting", "both", "clock_requirements", "clocked", "rate_between"]


_EXACT_NS = MILLISECOND
"""Servers round their time, and libfaketime counts in microseconds and less."""
_LIMIT_NS = 3 * SECOND
_APART_NS = SECOND


def clock_requirements(target: str) -> Requirements:
    """Return what every fault of a clock needs."""
    return Requirements(mechanisms=(LIBFAKETIME,), features=Features(clocks=frozenset({target})))


def clocked(environment: Environment, target: str, verb: str) -> Service:
    """Return the service whose clock can be set; EnvironmentRefused if it has none of its own."""
    service = environment.service(target)
    if not service.own_clock:
        raise EnvironmentRefused(f"{verb}: {target} uses the clock of its host")
    return service


class ClockSetting:
    """A clock that is set to something, and set right again."""

    def __init__(
        self, clock: Clock, service: Service, name: str, offset_ns: int, rate: float
    ) -> None:
        self._clock = clock
        self._service = service
        self._name = name
        self._offset_ns = offset_ns
        self._rate = rate
        self._before_ns = (0, 0)
        self._said = ""
        self.undo_text = f"set the clock of {self._name} right"

    def inject(self) -> Window:
        # The difference to this host's clock that was there before is no part of the fault: an
        # engine in a virtual machine has a clock of its own.
        self._before_ns = self._service.read_clock().ahead_ns
        window = self._service.set_clock(self._offset_ns, self._rate)
        self._said = self._service.clock_setting()
        return window

    def is_active(self) -> Proof:
        """Its clock goes by what it was set to, whether or not the service is up to say so."""
        now = self._service.clock_setting()
        return Proof(
            proven=bool(now) and now == self._said, measured={"setting": now.strip() or "none"}
        )

    def undo(self) -> Window:
        return self._service.set_clock(0, 1)

    def shifted(self, wanted_ns: int, exact_ns: int, checkpoint: Checkpoint) -> Proof:
        """Prove that the clock is further ahead than before by `wanted_ns`, to `exact_ns`."""
        seen: dict[str, Scalar] = {}

        def as_wanted() -> bool:
            try:
                least, most = self._shift_ns(self._service.read_clock())
            except NotReadyError as error:
                seen["error"] = str(error)
                return False
            seen.clear()
            seen["shift_ns"] = (least + most) // 2
            seen["shift_uncertainty_ns"] = (most - least + 1) // 2
            near = least - _EXACT_NS <= wanted_ns <= most + _EXACT_NS
            return near and most - least <= exact_ns

        return Proof(proven=until(self._clock, as_wanted, _LIMIT_NS, checkpoint), measured=seen)

    def runs_at(self, wanted: float, exact: float, checkpoint: Checkpoint) -> Proof:
        """Prove by two readings, a second apart, that the clock's rate is the one, to `exact`."""
        seen: dict[str, Scalar] = {}
        give_up_ns = self._clock.now_ns() + _LIMIT_NS
        try:
            first = self._service.read_clock()
            while self._clock.now_ns() < give_up_ns:
                rest(self._clock, first.after_ns + _APART_NS - self._clock.now_ns(), checkpoint)
                second = self._service.read_clock()
                low, high = rate_between(first, second)
                seen["rate"] = round((low + high) / 2, 6)
                seen["rate_uncertainty"] = round((high - low) / 2, 6)
                if low <= wanted <= high and high - low <= exact:
                    return Proof(proven=True, measured=seen)
                first = second
        except NotReadyError as error:
            seen["error"] = str(error)
        return Proof(proven=False, measured=seen)

    def _shift_ns(self, reading: Reading) -> tuple[int, int]:
        (least, most), (least_before, most_before) = reading.ahead_ns, self._before_ns
        return least - most_before, most - least_before


def rate_between(first: Reading, second: Reading) -> tuple[float, float]:
    """Return the least and the greatest rate of a clock that two readings allow for."""
    told_ns = second.told_ns - first.told_ns
    longest_ns = second.after_ns - first.before_ns
    shortest_ns = second.before_ns - first.after_ns
    rates = [(told_ns + by) / over for over in (longest_ns, shortest_ns) for by in (-1000, 1000)]
    return min(rates), max(rates)


def both(first: Proof, second: Proof) -> Proof:
    """Return what two proofs say together."""
    measured: Mapping[str, Scalar] = {**first.measured, **second.measured}
    return Proof(proven=first.proven and second.proven, measured=measured)
