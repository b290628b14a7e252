"""Step 5 of a run: each fault is recorded, injected, proven, undone, and proven healed."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from gameday.api.environment import Checkpoint, Environment, NotReadyError
from gameday.api.fault import Fault, Proof
from gameday.engine.active_fault import ActiveFault
from gameday.engine.event_bus import EventBus
from gameday.engine.scheduler import Scheduler
from gameday.engine.undo_log import UndoRecord
from gameday.errors import EnvironmentRefused
from gameday.host.waiting import NotInTime
from gameday.model.clock import SECOND
from gameday.model.event import (
    EffectProven,
    FaultInjected,
    FaultUndone,
    UndoProven,
    UndoRecorded,
)
from gameday.model.fault_facts import asked_facts
from gameday.model.history import FaultTimes, History
from gameday.model.plan import PlannedFault
from gameday.model.result import FaultRecord

__all__ = ["Injector", "Lease"]

_TIME_TO_HEAL_NS = 60 * SECOND
"""How long after its span a fault may last before the supervisor heals it."""

_PROOF_LIMIT_NS = 45 * SECOND
"""How long after its span a fault is undone by its timer while its proof is still under way."""

_MOST_UNDOINGS = 4
"""How often one fault is undone at most; the proof after each attempt has its own limit."""


class Lease(Protocol):
    """A process outside of the harness that heals each fault which is not healed in time."""

    def fault_until(self, step: int, until_ns: int) -> None:
        """Act if the fault of that step is not healed by `until_ns`; raise if nobody would."""
        ...

    def healed(self, step: int) -> None:
        """Forget the fault of that step."""
        ...


class Injector:
    """The faults of one plan on one environment; `heal` undoes whatever was begun."""

    def __init__(
        self,
        faults: Sequence[Fault],
        planned: Sequence[PlannedFault],
        environment: Environment,
        event_bus: EventBus,
        undo_record: UndoRecord,
        lease: Lease,
        scheduler: Scheduler,
    ) -> None:
        """`faults` has the fault of each step of the plan."""
        self._faults = tuple(
            ActiveFault(planned=one, fault=faults[one.step], scheduler=scheduler) for one in planned
        )
        self._environment = environment
        self._event_bus = event_bus
        self._record = undo_record
        self._lease = lease
        self._scheduler = scheduler
        self._active: list[ActiveFault] = []
        """Those whose undo is recorded, in that order."""

    def play(self, wait_until: Callable[[int], None], now_ns: int, checkpoint: Checkpoint) -> bool:
        """Inject and undo every fault at its time, counted from `now_ns`.

        Returns False as soon as a fault is not proven, ended early, or is not proven healed.
        Nothing more is broken then, and the others are still to be healed.
        """
        moments = [(f.planned.at_ns, True, f) for f in self._faults]
        moments += [(f.planned.until_ns, False, f) for f in self._faults]
        for at_ns, begins, fault in sorted(moments, key=lambda m: (m[0], m[1], m[2].planned.step)):
            if begins:
                wait_until(now_ns + at_ns)
                if not self._inject(fault, checkpoint):
                    return False
                continue
            wait_until(fault.over_ns)
            fault.late = not self._undo(fault, checkpoint)
            if fault.late or not fault.lasted:
                return False
        return True

    def undo_now(self) -> None:
        """Undo everything from a thread other than the conductor's, and prove nothing.

        The conductor may be injecting a fault meanwhile, so it undoes everything again.
        """
        for active in reversed(tuple(self._active)):
            active.hurry()
            with suppress(Exception):
                active.undo()
            active.undoings += 1

    def heal(self, *, at_once: bool = False, proof_limit_ns: int | None = None) -> None:
        """Undo whatever is not proven healed, last in first out; a failure stops no other undo.

        All faults are undone before the first is proven healed, because a proof may take long. A
        fault that could not be undone because of another one is undone again after that one.
        With `at_once` no fault is looked at before its undo. A proof that takes longer than
        `proof_limit_ns` counts as none. Raises ExceptionGroup of what could not be undone.
        """
        for active in self._active if at_once else ():
            active.hurry()
        problems: dict[int, Exception] = {}
        goes_on = True
        while goes_on:
            left = [
                active
                for active in reversed(self._active)
                if active.healed_ns is None and active.undoings < _MOST_UNDOINGS
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
                    goes_on |= self._read_again(active, lambda: None, proof_limit_ns)
                except Exception as error:
                    problems[active.planned.step] = error
        if problems:
            raise ExceptionGroup("faults could not be undone", list(problems.values()))

    @property
    def targets(self) -> frozenset[str]:
        """The services and edges that were hit."""
        return frozenset(active.planned.target for active in self._active)

    def times(self) -> tuple[FaultTimes, ...]:
        """Return when each fault was injected, proven, undone and healed; absolute."""
        return tuple(times for active in self._active if (times := active.times()) is not None)

    def records(self, history: History | None) -> tuple[FaultRecord, ...]:
        """Return each fault as asked, measured and undone; `history` tells what met it."""
        return tuple(active.record(history, self._event_bus.start_ns) for active in self._active)

    def _inject(self, active: ActiveFault, checkpoint: Checkpoint) -> bool:
        planned = active.planned
        active.prepare(self._environment)
        undo = active.injection.undo_text
        self._record.write(state="will inject", undo=undo, **active.facts)
        healed_by_ns = self._scheduler.now_ns() + active.for_ns + _TIME_TO_HEAL_NS
        self._lease.fault_until(planned.step, healed_by_ns)
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
            asked=asked_facts(active.asked, planned.exposure),
        )
        active.undo_in(active.for_ns + _PROOF_LIMIT_NS)
        proof = active.injection.prove(checkpoint)
        active.measured |= proof.measured
        # If its timer has undone it by now, it was not active during the whole proof.
        proven = proof.proven and not active.is_out()
        if proven:
            active.proven_ns = self._scheduler.now_ns()
            active.attend(active.over_ns, alone=self._is_alone(planned))
        self._event_bus.tell(EffectProven, **active.facts, proven=proven, measured=proof.measured)
        return proven

    def _is_alone(self, planned: PlannedFault) -> bool:
        """Tell whether no other fault is planned to be active at the same time."""
        others = (fault.planned for fault in self._faults if fault.planned is not planned)
        return all(o.until_ns <= planned.at_ns or planned.until_ns <= o.at_ns for o in others)

    def _undo(self, active: ActiveFault, checkpoint: Checkpoint) -> bool:
        """Undo a fault if its timer has not, and tell whether it is proven healed."""
        self._take_out(active)
        return self._read_again(active, checkpoint)

    def _take_out(self, active: ActiveFault) -> None:
        """Undo a fault if its timer has not; one that was not proven healed is undone again."""
        again = active.undoings > 0
        active.undoings += 1
        bracket = self._event_bus.since_start(active.undo(again=again))
        self._tell_of_the_end(active)
        self._event_bus.tell(
            FaultUndone,
            **active.facts,
            called_ns=bracket.start_ns,
            returned_ns=bracket.end_ns,
        )

    def _read_again(
        self, active: ActiveFault, checkpoint: Checkpoint, limit_ns: int | None = None
    ) -> bool:
        """Tell whether a fault is proven healed; `heal` lets no signal cut that short."""
        read = partial(active.injection.prove_healed, checkpoint)
        try:
            proof = read() if limit_ns is None else self._scheduler.call(read).result(limit_ns)
        except NotInTime as error:
            proof = Proof(proven=False, measured={"error": str(error)})
        active.measured |= proof.measured
        if proof.proven:
            active.healed_ns = self._scheduler.now_ns()
            self._lease.healed(active.planned.step)
            with suppress(OSError):  # it is undone, even if the disk is full
                self._record.write(state="undone", **active.facts)
        self._event_bus.tell(
            UndoProven, **active.facts, proven=proof.proven, measured=proof.measured
        )
        return proof.proven

    def _tell_of_the_end(self, active: ActiveFault) -> None:
        """Report once that a fault ended early; no event if it did not."""
        if not (active.end_told or active.lasted):
            self._event_bus.tell(
                EffectProven, **active.facts, proven=False, measured=active.end_facts
            )
        active.end_told = True
