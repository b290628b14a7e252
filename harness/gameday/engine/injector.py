"""Step 5 of a run: every fault recorded, injected, proven, looked at, undone and proven gone."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from gameday.api.environment import Checkpoint, Environment, NotReadyError
from gameday.api.fault import Counted, Fault, Proof
from gameday.engine.active_fault import ActiveFault
from gameday.engine.event_bus import EventBus
from gameday.engine.undo_log import UndoRecord
from gameday.errors import EnvironmentRefused
from gameday.host.waiting import NotInTime, within
from gameday.model.clock import SECOND
from gameday.model.event import (
    EffectProven,
    FaultInjected,
    FaultUndone,
    Scalar,
    UndoProven,
    UndoRecorded,
)
from gameday.model.history import FaultTimes
from gameday.model.plan import PlannedFault
from gameday.model.result import IN_AT_END, LAPSE, FaultRecord, Window

__all__ = ["Injector", "Lease"]

_TIME_TO_HEAL_NS = 60 * SECOND
"""How long after its span a fault may still be in before it is healed from outside."""

_PROOF_LIMIT_NS = 45 * SECOND
"""How long after its span a fault that is not proven yet is undone by its timer all the same."""

_MOST_UNDOINGS = 4
"""How often one fault is undone at most, each time with a proof that takes its own limit."""


class Lease(Protocol):
    """Somebody outside of this process who heals what it does not heal in time."""

    def fault_until(self, step: int, until_ns: int) -> None:
        """Act if the fault of that step is not healed by `until_ns`; raise if nobody would."""
        ...

    def healed(self, step: int) -> None:
        """Forget the fault of that step."""
        ...


class Injector:
    """The faults of one plan on one environment. What was begun is healed by `heal`, once."""

    def __init__(
        self,
        faults: Sequence[Fault],
        planned: Sequence[PlannedFault],
        environment: Environment,
        event_bus: EventBus,
        undo_record: UndoRecord,
        lease: Lease,
    ) -> None:
        self._faults = faults
        self._planned = planned
        self._environment = environment
        self._event_bus = event_bus
        self._record = undo_record
        self._lease = lease
        self._active: list[ActiveFault] = []

    def play(self, wait_until: Callable[[int], None], now_ns: int, checkpoint: Checkpoint) -> bool:
        """Inject and undo every fault at its time, counted from `now_ns`.

        Returns False as soon as a fault is not proven, was not in any more at its end, or is not
        proven gone: nothing more is broken then, and the others are still to be healed.
        """
        moments = [(f.at_ns, True, f) for f in self._planned]
        moments += [(f.until_ns, False, f) for f in self._planned]
        for at_ns, begins, planned in sorted(moments, key=lambda m: (m[0], m[1], m[2].step)):
            if begins:
                wait_until(now_ns + at_ns)
                if not self._inject(planned, checkpoint):
                    return False
                continue
            active = next(a for a in self._active if a.planned is planned)
            wait_until(active.over_ns)
            active.late = not self._undo(active, checkpoint)
            if active.late or not active.lasted:
                return False
        return True

    def undo_now(self) -> None:
        """Undo all from another thread than the one that conducts, and prove nothing.

        That one may be in the middle of putting a fault in, so it undoes all again.
        """
        for active in reversed(tuple(self._active)):
            active.hurry()
            with suppress(Exception):
                active.undo()
            active.undoings += 1

    def heal(self, *, at_once: bool = False, proof_limit_s: float | None = None) -> None:
        """Undo whatever is not proven gone, last in first out; a failure does not stop the others.

        All are undone before the first is read again: that may take long, and the others are in
        meanwhile. What another fault kept from being undone is undone again once that one is gone.
        Where that has to be `at_once`, nothing is looked at before; with a `proof_limit_s` what is
        not read again in that time counts as not undone. Raises ExceptionGroup of what could not
        be undone.
        """
        for active in self._active if at_once else ():
            active.hurry()
        problems: dict[int, Exception] = {}
        goes_on = True
        while goes_on:
            left = [
                active
                for active in reversed(self._active)
                if active.undo_proven_ns is None and active.undoings < _MOST_UNDOINGS
            ]
            problems = {}
            for active in left:
                try:
                    self._take_out(active)
                except Exception as error:
                    problems[active.planned.step] = error
            goes_on = False
            for active in left:
                if active.planned.step in problems:
                    continue
                try:
                    goes_on |= self._read_again(active, lambda: None, proof_limit_s)
                except Exception as error:
                    problems[active.planned.step] = error
        if problems:
            raise ExceptionGroup("faults could not be undone", list(problems.values()))

    @property
    def targets(self) -> frozenset[str]:
        """The services and edges that were hit."""
        return frozenset(active.planned.target for active in self._active)

    def times(self) -> tuple[FaultTimes, ...]:
        """Return when each fault was in, absolute."""
        return tuple(
            FaultTimes(
                injected=active.injected,
                proven_ns=active.proven_ns,
                undone=active.undone,
                undo_proven_ns=active.undo_proven_ns,
            )
            for active in self._active
            if active.injected is not None
        )

    def records(
        self, exposed: Callable[[PlannedFault, Window], int | None]
    ) -> tuple[FaultRecord, ...]:
        """Return each fault as asked, measured and undone.

        `exposed` tells how many operations came due in a window that the fault was in the way of;
        one that met fewer than its exposure asks for is not proven, whatever it did. Where what
        met it was counted, it is no more than that.
        """
        return tuple(self._as_record(active, exposed) for active in self._active)

    def _inject(self, planned: PlannedFault, checkpoint: Checkpoint) -> bool:
        active = ActiveFault(
            planned=planned, injection=self._faults[planned.step].on(self._environment)
        )
        undo = active.injection.undo_text
        self._record.write(state="will inject", undo=undo, **active.facts)
        lasts_ns = planned.until_ns - planned.at_ns
        now_ns = self._now_ns()
        self._lease.fault_until(planned.step, now_ns + lasts_ns + _TIME_TO_HEAL_NS)
        self._event_bus.tell(UndoRecorded, **active.facts, undo=undo)
        self._active.append(active)
        try:
            active.injected = active.injection.inject()
        except NotReadyError as error:
            name = f"{planned.fault} of {planned.target}"
            raise EnvironmentRefused(f"{name} could not be injected: {error}") from error
        bracket = self._event_bus.since_start(active.injected)
        self._event_bus.tell(
            FaultInjected,
            **active.facts,
            called_ns=bracket.start_ns,
            returned_ns=bracket.end_ns,
            asked=active.asked,
        )
        active.undo_in(lasts_ns + _PROOF_LIMIT_NS)
        proof = active.injection.prove(checkpoint)
        active.measured |= proof.measured
        # What its timer has undone by then was not in while it was looked for.
        proven = proof.proven and not active.is_out()
        if proven:
            active.proven_ns = self._now_ns()
            active.attend(active.over_ns - self._now_ns(), alone=self._is_alone(planned))
        self._event_bus.tell(EffectProven, **active.facts, proven=proven, measured=proof.measured)
        return proven

    def _is_alone(self, planned: PlannedFault) -> bool:
        """Tell whether no other fault is planned to be in at the same time."""
        others = (other for other in self._planned if other is not planned)
        return all(o.until_ns <= planned.at_ns or planned.until_ns <= o.at_ns for o in others)

    def _now_ns(self) -> int:
        return self._event_bus.start_ns + self._event_bus.now_ns()

    def _undo(self, active: ActiveFault, checkpoint: Checkpoint) -> bool:
        """Undo a fault if its timer has not, re-read it, and tell whether it is proven gone."""
        self._take_out(active)
        return self._read_again(active, checkpoint)

    def _take_out(self, active: ActiveFault) -> None:
        """Undo a fault if its timer has not; one that was re-read before is undone again."""
        again = active.undoings > 0
        active.undoings += 1
        bracket = self._event_bus.since_start(active.undo(again=again))
        if IN_AT_END not in active.measured:
            self._tell_of_the_end(active)
        self._event_bus.tell(
            FaultUndone,
            **active.facts,
            called_ns=bracket.start_ns,
            returned_ns=bracket.end_ns,
        )

    def _read_again(
        self, active: ActiveFault, checkpoint: Checkpoint, limit_s: float | None = None
    ) -> bool:
        """Tell whether a fault is proven gone; `heal` lets no signal cut that short."""
        read = partial(active.injection.prove_healed, checkpoint)
        try:
            proof = read() if limit_s is None else within(limit_s, read)
        except NotInTime as error:
            proof = Proof(proven=False, measured={"error": str(error)})
        active.measured |= proof.measured
        if proof.proven:
            active.undo_proven_ns = self._now_ns()
            self._lease.healed(active.planned.step)
            with suppress(OSError):  # it is undone, whatever the disk still takes
                self._record.write(state="undone", **active.facts)
        self._event_bus.tell(
            UndoProven, **active.facts, proven=proof.proven, measured=proof.measured
        )
        return proof.proven

    def _tell_of_the_end(self, active: ActiveFault) -> None:
        """Keep what was seen until the undoing; that it was in all the time is no news."""
        seen = active.at_end.measured if active.at_end is not None else {}
        measured: dict[str, Scalar] = {f"at_end_{name}": value for name, value in seen.items()}
        if active.at_end is not None or active.lapse:
            measured[IN_AT_END] = active.lasted
        if active.lapse:
            measured[LAPSE] = active.lapse
        active.measured |= measured
        if not active.lasted:
            self._event_bus.tell(EffectProven, **active.facts, proven=False, measured=measured)

    def _as_record(
        self, active: ActiveFault, exposed: Callable[[PlannedFault, Window], int | None]
    ) -> FaultRecord:
        window = None
        met: int | None = None
        counted = active.injection.met() if isinstance(active.injection, Counted) else None
        if active.injected is not None and active.undone is not None:
            absolute = Window(start_ns=active.injected.start_ns, end_ns=active.undone.end_ns)
            window = self._event_bus.since_start(absolute)
            met = exposed(active.planned, absolute)
        if met is not None and counted is not None:
            met = min(met, counted)
        return FaultRecord(
            fault=active.planned.fault,
            target=active.planned.target,
            asked=active.asked,
            measured={**active.measured, "operations_exposed": met},
            proven=active.proven_ns is not None
            and active.lasted
            and (met is None or met >= active.planned.exposure),
            undone=active.undo_proven_ns is not None and not active.late,
            window=window,
        )
