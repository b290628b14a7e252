"""Crash loop: a service dies again and again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from signal import Signals
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.faults.recipes.termination import DEATH_LIMIT_NS, LONGEST_NS, PROCESSES, Termination
from gameday.faults.timing import until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs, format_duration

__all__ = ["CrashLoop"]

_MOST = 20
_LATE_NS = 500 * MILLISECOND
"""How much later than asked a death may be, beside half of the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashLoop:
    """A service is killed by SIGKILL and restarted at once, several times.

    After the last death it is started as well and left alone, so the loop heals itself: `for`
    counts from the first death, and is extended by the loop if that is longer. Proven by the
    exit code of each death, a start of its own for each, and the intervals that were kept.
    Undone by an answer to a write on the direct path.
    """

    verb: ClassVar[str] = "crash-loop"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    target: str
    """The service that crashes."""
    times: int = 3
    """How many deaths, from 2 to 20."""
    interval_ns: DurationNs = SECOND
    """How long each start lives, ready or not; `times` of it are at most 30 s."""

    def __post_init__(self) -> None:
        require(("times", 2 <= self.times <= _MOST, f"2 to {_MOST}; one is a kill"))
        lasts_ns, most = self.times * self.interval_ns, format_duration(LONGEST_NS)
        wanted = f"at most {most} in all, and {self.times} of these are {format_duration(lasts_ns)}"
        require(("interval", lasts_ns <= LONGEST_NS, wanted))

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        clock = environment.clock
        return _CrashLooping(clock, self, Termination(clock, service), service)


@dataclass(slots=True)
class _Seen:
    """Each death and each start, counted from the first signal."""

    death_ns: list[int] = field(default_factory=list)
    start_ns: list[int] = field(default_factory=list)
    exit_codes: list[int | None] = field(default_factory=list)
    starts: set[tuple[str, int]] = field(default_factory=set)
    lived_ns: list[int] = field(default_factory=list)


class _CrashLooping:
    """One crash loop: the first death is the injection, the others are seen through by its proof.

    What was never injected does not crash: then there is nothing to see through.
    """

    def __init__(
        self, clock: Clock, fault: CrashLoop, termination: Termination, service: Service
    ) -> None:
        self._clock = clock
        self._fault = fault
        self._termination = termination
        self._service = service
        self.undo_text = f"start {self._fault.target} again with its data"
        self.asked: Mapping[str, Scalar] = {
            "times": self._fault.times,
            "interval_ns": self._fault.interval_ns,
        }

    def inject(self) -> Window:
        return self._termination.signal(Signals.SIGKILL)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        seen = _Seen()
        first_ns = self._termination.signalled_ns
        if first_ns is not None:
            while self._die_and_start(seen, first_ns, checkpoint):
                self._live(seen, checkpoint)
        return Proof(proven=self._is_as_asked(seen), measured=_measured(seen))

    def undo(self) -> Window:
        return self._termination.start_again()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A write on the direct path, by a start that no death was meant for."""
        proof = self._termination.prove_new_start(checkpoint)
        measured = {k: v for k, v in proof.measured.items() if k != "outage_actual_ns"}
        return Proof(proven=proof.proven, measured=measured)

    def _die_and_start(self, seen: _Seen, zero_ns: int, checkpoint: Checkpoint) -> bool:
        """See one death and start again; False when that was the last one, or none."""
        process_state = self._termination.await_end(DEATH_LIMIT_NS, checkpoint)
        if self._termination.signalled_ns is None or not self._termination.ended:
            return False
        seen.death_ns.append(self._termination.signalled_ns - zero_ns)
        seen.exit_codes.append(process_state.exit_code)
        self._service.start_again()
        started_ns = self._clock.now_ns()
        now = self._service.process_state()
        if now.start == self._termination.before.start:
            return False
        seen.start_ns.append(started_ns - zero_ns)
        seen.starts.add(now.start)
        return len(seen.death_ns) < self._fault.times

    def _live(self, seen: _Seen, checkpoint: Checkpoint) -> None:
        """Let the new start live for the interval, then signal it."""
        born_ns = self._clock.now_ns()
        until(self._clock, lambda: False, self._fault.interval_ns, checkpoint)
        self._termination.signal(Signals.SIGKILL)
        seen.lived_ns.append(self._clock.now_ns() - born_ns)

    def _is_as_asked(self, seen: _Seen) -> bool:
        times, interval_ns = self._fault.times, self._fault.interval_ns
        latest_ns = interval_ns + interval_ns // 2 + _LATE_NS
        return (
            seen.exit_codes == [128 + Signals.SIGKILL] * times
            and len(seen.starts) == times
            and all(interval_ns <= lived_ns <= latest_ns for lived_ns in seen.lived_ns)
        )


def _measured(seen: _Seen) -> Mapping[str, Scalar]:
    measured: dict[str, Scalar] = {
        "deaths": len(seen.death_ns),
        "starts": len(seen.starts),
        "exit_codes": " ".join(str(code) for code in seen.exit_codes),
        "longest_life_ns": max(seen.lived_ns, default=None),
    }
    for number, death_ns in enumerate(seen.death_ns, 1):
        measured[f"death_{number}_ns"] = death_ns
    for number, start_ns in enumerate(seen.start_ns, 1):
        measured[f"start_{number}_ns"] = start_ns
    return measured
