"""Step 5 of a run: every fault recorded, injected, proven, looked at, undone and proven gone."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from gameday.chronicle import Chronicle
from gameday.environment.protocol import Checkpoint, Environment
from gameday.errors import NotHealed
from gameday.faults.protocol import Counted, Fault, Injection, Lasting, Proof
from gameday.faults.undo import UndoRecord
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
from gameday.model.result import IN_AT_END, FaultRecord, Window

__all__ = ["Injector", "Lease"]

_TIME_TO_HEAL_NS = 60 * SECOND
"""How long after its span a fault may still be in before it is healed from outside."""

_LOOK_LIMIT_S = 2.0
"""How long a fault may be looked at before it is undone; one that takes longer is not seen."""

_UNDO_LIMIT_S = 30.0
"""How long one undoing may take before the next fault is seen to; what hangs is left to hang."""

_PROOF_LIMIT_NS = 45 * SECOND
"""How long after its span a fault that is not proven yet is undone by its timer all the same."""

_MOST_UNDOINGS = 4
"""How often one fault is undone at most, each time with a proof that takes its own limit."""


@dataclass(slots=True, kw_only=True)
class _Active:
    """One fault from the moment its undo is recorded, and what is known of it afterwards."""

    planned: PlannedFault
    injection: Injection
    injected: Window | None = None
    proven_ns: int | None = None
    at_end: Proof | None = None
    """What was seen right before the undoing; None: it was not looked at."""
    undone: Window | None = None
    undoings: int = 0
    """How often it was to be undone and read again, be that proven or not."""
    late: bool = False
    """Whether it was not proven gone in its time, whatever came of it later."""
    undo_proven_ns: int | None = None
    measured: dict[str, Scalar] = field(default_factory=dict)
    _undoing: threading.Lock = field(default_factory=threading.Lock)
    _timer: threading.Timer | None = None
    _hurried: bool = False
    _looked: bool = False
    _seen: threading.Event = field(default_factory=threading.Event)
    """Set once nobody is to wait for the look any more."""

    @property
    def facts(self) -> dict[str, str | int]:
        """What every event and record of this fault starts with."""
        planned = self.planned
        return {"step": planned.step, "fault": planned.fault, "target": planned.target}

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {
            **self.injection.asked,
            "for_ns": self.planned.until_ns - self.planned.at_ns,
            "exposure": self.planned.exposure,
        }

    @property
    def over_ns(self) -> int:
        """When it is to end: it lasts as long as was asked for from when it was in."""
        assert self.injected is not None
        return self.injected.end_ns + self.planned.until_ns - self.planned.at_ns

    def undo_in(self, wait_ns: int) -> None:
        """Let it be undone after that time, whatever else is being waited for by then."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(max(0, wait_ns) / SECOND, self._undo_quietly)
        self._timer.daemon = True
        self._timer.start()

    @property
    def lasted(self) -> bool:
        """Whether nothing speaks against its having been in until it was undone."""
        return self.at_end is None or self.at_end.proven

    def hurry(self) -> None:
        """Let nobody look at it any more, nor wait for a look, before it is undone."""
        self._hurried = True
        self._seen.set()

    def undo(self, *, again: bool = False) -> Window:
        """Look at it and undo it unless that was done, and return when that was.

        `again` undoes what was undone before. Raises NotHealed when it takes too long.
        """
        if self._timer is not None:
            self._timer.cancel()
        if not self._undoing.acquire(timeout=_UNDO_LIMIT_S):
            raise self._hangs()
        try:
            if self.undone is None:
                self._look()
            if self.undone is None or again:
                self.undone = self._undo_in_time()
            return self.undone
        finally:
            self._undoing.release()

    def _undo_in_time(self) -> Window:
        came: queue.SimpleQueue[Window | BaseException] = queue.SimpleQueue()

        def act() -> None:
            try:
                came.put(self.injection.undo())
            except BaseException as error:
                came.put(error)

        threading.Thread(target=act, daemon=True).start()
        try:
            end = came.get(timeout=_UNDO_LIMIT_S)
        except queue.Empty:
            raise self._hangs() from None
        if isinstance(end, BaseException):
            raise end
        return end

    def _hangs(self) -> NotHealed:
        return NotHealed(
            f"{self.planned.fault} of {self.planned.target}: its undoing has not ended within "
            f"{_UNDO_LIMIT_S:g} s"
        )

    def _undo_quietly(self) -> None:
        # Whoever comes to re-read it undoes it again, and then an error is told.
        with suppress(Exception):
            self.undo()

    def _look(self) -> None:
        """Ask, once and for a limited time, whether it is in still, if it ever was."""
        if self._hurried or self._looked or self.proven_ns is None:
            return
        self._looked = True
        if not isinstance(self.injection, Lasting):
            return
        seen: list[Proof] = []
        threading.Thread(target=self._see, args=(self.injection, seen), daemon=True).start()
        in_time = self._seen.wait(_LOOK_LIMIT_S)
        if seen:
            self.at_end = seen[0]
        elif not in_time:
            error = f"no answer within {_LOOK_LIMIT_S:g} s"
            self.at_end = Proof(proven=False, measured={"error": error})

    def _see(self, injection: Lasting, seen: list[Proof]) -> None:
        try:
            seen.append(injection.still_in())
        except Exception as error:  # no reason to leave the fault in
            seen.append(Proof(proven=False, measured={"error": str(error) or repr(error)}))
        finally:
            self._seen.set()


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
        chronicle: Chronicle,
        undo_record: UndoRecord,
        lease: Lease,
    ) -> None:
        self._faults = faults
        self._planned = planned
        self._environment = environment
        self._chronicle = chronicle
        self._record = undo_record
        self._lease = lease
        self._active: list[_Active] = []

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

    def heal(self, *, at_once: bool = False) -> None:
        """Undo whatever is not proven gone, last in first out; a failure does not stop the others.

        All are undone before the first is read again: that may take long, and the others are in
        meanwhile. What another fault kept from being undone is undone again once that one is gone.
        Where that has to be `at_once`, nothing is looked at before. Raises ExceptionGroup of what
        could not be undone.
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
                    goes_on |= self._read_again(active, lambda: None)
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
        active = _Active(
            planned=planned, injection=self._faults[planned.step].on(self._environment)
        )
        undo = active.injection.undo_text
        self._record.write(state="will inject", undo=undo, **active.facts)
        lasts_ns = planned.until_ns - planned.at_ns
        now_ns = self._now_ns()
        self._lease.fault_until(planned.step, now_ns + lasts_ns + _TIME_TO_HEAL_NS)
        self._chronicle.tell(UndoRecorded, **active.facts, undo=undo)
        self._active.append(active)
        active.injected = active.injection.inject()
        bracket = self._chronicle.since_start(active.injected)
        self._chronicle.tell(
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
        proven = proof.proven and active.undone is None
        if proven:
            active.proven_ns = self._now_ns()
            active.undo_in(active.over_ns - self._now_ns())
        self._chronicle.tell(EffectProven, **active.facts, proven=proven, measured=proof.measured)
        return proven

    def _now_ns(self) -> int:
        return self._chronicle.start_ns + self._chronicle.now_ns()

    def _undo(self, active: _Active, checkpoint: Checkpoint) -> bool:
        """Undo a fault if its timer has not, re-read it, and tell whether it is proven gone."""
        self._take_out(active)
        return self._read_again(active, checkpoint)

    def _take_out(self, active: _Active) -> None:
        """Undo a fault if its timer has not; one that was re-read before is undone again."""
        again = active.undoings > 0
        active.undoings += 1
        bracket = self._chronicle.since_start(active.undo(again=again))
        if active.at_end is not None and IN_AT_END not in active.measured:
            self._tell_of_the_end(active, active.at_end)
        self._chronicle.tell(
            FaultUndone,
            **active.facts,
            called_ns=bracket.start_ns,
            returned_ns=bracket.end_ns,
        )

    def _read_again(self, active: _Active, checkpoint: Checkpoint) -> bool:
        """Tell whether a fault is proven gone; `heal` lets no signal cut that short."""
        proof = active.injection.prove_undone(checkpoint)
        active.measured |= proof.measured
        if proof.proven:
            active.undo_proven_ns = self._now_ns()
            self._record.write(state="undone", **active.facts)
            self._lease.healed(active.planned.step)
        self._chronicle.tell(
            UndoProven, **active.facts, proven=proof.proven, measured=proof.measured
        )
        return proof.proven

    def _tell_of_the_end(self, active: _Active, seen: Proof) -> None:
        """Keep what was seen right before the undoing; that it was in still is no news."""
        measured = {
            IN_AT_END: seen.proven,
            **{f"at_end_{name}": value for name, value in seen.measured.items()},
        }
        active.measured |= measured
        if not seen.proven:
            self._chronicle.tell(EffectProven, **active.facts, proven=False, measured=measured)

    def _as_record(
        self, active: _Active, exposed: Callable[[PlannedFault, Window], int | None]
    ) -> FaultRecord:
        window = None
        met: int | None = None
        counted = active.injection.met() if isinstance(active.injection, Counted) else None
        if active.injected is not None and active.undone is not None:
            absolute = Window(start_ns=active.injected.start_ns, end_ns=active.undone.end_ns)
            window = self._chronicle.since_start(absolute)
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
