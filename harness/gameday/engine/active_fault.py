"""One fault of a run, from the plan to its record."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gameday.analysis import exposed
from gameday.api.environment import Environment
from gameday.api.fault import Counted, Fault, Injection, Proof
from gameday.engine.scheduler import Scheduler
from gameday.engine.watch import TURN_NS, Watch
from gameday.errors import NotHealed
from gameday.host.waiting import NotInTime
from gameday.model.clock import SECOND, BackgroundTask
from gameday.model.event import Scalar
from gameday.model.fault_facts import end_facts
from gameday.model.history import FaultTimes, History
from gameday.model.plan import PlannedFault
from gameday.model.result import FaultRecord, Window

__all__ = ["ActiveFault"]

_UNDO_LIMIT_NS = 30 * SECOND
"""How long one undo may take; one that hangs is left behind, and the next fault is undone."""


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """One fault of the plan: its state while the run lasts, and its evidence."""

    planned: PlannedFault
    fault: Fault
    scheduler: Scheduler
    injected: Window | None = None
    proven_ns: int | None = None
    """When its effect was proven; None: it was not."""
    undone: Window | None = None
    undoings: int = 0
    """How often it was undone, whether or not that was proven."""
    healed_ns: int | None = None
    """When it was proven healed; None: it was not."""
    late: bool = False
    """Whether it was not proven healed right after its undo, even if it was later."""
    measured: dict[str, Scalar] = field(default_factory=dict)
    """What the proofs of its effect and of its undo measured."""
    end_told: bool = False
    """Whether it was reported if it ended early."""
    _injection: Injection | None = None
    _watch: Watch | None = None
    _undoing: threading.Lock = field(default_factory=threading.Lock)
    _undo_begun: bool = False
    _task: BackgroundTask | None = None

    def prepare(self, environment: Environment) -> None:
        """Get it ready for injection; EnvironmentRefused if the target does not allow it."""
        self._injection = self.fault.on(environment)
        self._watch = Watch(self._injection, self.scheduler)

    @property
    def injection(self) -> Injection:
        assert self._injection is not None, "it was not prepared"
        return self._injection

    @property
    def facts(self) -> dict[str, str | int]:
        """What every event and record of this fault starts with."""
        planned = self.planned
        return {"step": planned.step, "fault": planned.fault, "target": planned.target}

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {**self.injection.asked, "for_ns": self.for_ns}

    @property
    def for_ns(self) -> int:
        """How long it is to be active."""
        return self.planned.until_ns - self.planned.at_ns

    @property
    def over_ns(self) -> int:
        """When it is to be undone: after its span, counted from the end of the injection."""
        assert self.injected is not None
        return self.injected.end_ns + self.for_ns

    @property
    def lapse(self) -> str:
        """What shows that it was not active for a while after its proof; empty: nothing does."""
        return "" if self._watch is None else self._watch.lapse

    @property
    def lasted(self) -> bool:
        """Whether nothing shows that it ended before it was undone."""
        return self._active_at_end is not False

    @property
    def end_facts(self) -> dict[str, Scalar]:
        """What the last look before its undo measured, and whether it was active until then."""
        return {**self._seen_at_end, **end_facts(self._active_at_end, self.lapse)}

    def times(self) -> FaultTimes | None:
        """Return when it was injected, proven, undone and healed; None: it never was injected."""
        if self.injected is None:
            return None
        return FaultTimes(
            injected=self.injected,
            proven_ns=self.proven_ns,
            undone=self.undone,
            undo_proven_ns=self.healed_ns,
        )

    def record(self, history: History | None, start_ns: int) -> FaultRecord:
        """Return its record: times count from `start_ns`, `history` tells what met it.

        This is where a fault is proven or not: its effect was seen, nothing shows that it ended
        before its time, and it is not known to have met fewer operations than it was to meet.
        """
        window, met = None, None
        counted = self.injection.met() if isinstance(self.injection, Counted) else None
        if self.injected is not None and self.undone is not None:
            window = Window(start_ns=self.injected.start_ns, end_ns=self.undone.end_ns)
            if history is not None:
                met = exposed(history, self.planned, window, counted)
            window = Window(start_ns=window.start_ns - start_ns, end_ns=window.end_ns - start_ns)
        took_effect = self.proven_ns is not None
        met_enough = met is None or met >= self.planned.exposure
        return FaultRecord(
            fault=self.planned.fault,
            target=self.planned.target,
            asked=self.asked,
            exposure=self.planned.exposure,
            measured={**self.measured, **self._seen_at_end},
            active_at_end=self._active_at_end,
            lapse=self.lapse,
            met=met,
            proven=took_effect and self.lasted and met_enough,
            undone=self.healed_ns is not None and not self.late,
            window=window,
        )

    def undo_in(self, wait_ns: int) -> None:
        """Have it undone after that time, whatever the conductor is waiting for."""
        due_ns = self.scheduler.now_ns() + wait_ns

        def wait() -> Iterator[int]:
            yield due_ns
            self._undo_quietly()

        self._in_background(wait())

    def attend(self, due_ns: int, *, alone: bool) -> None:
        """Watch it until then, now that it is proven, and undo it on time.

        `alone`: no other fault is active meanwhile, which could hide it.
        """
        self._in_background(self._attend(due_ns, alone))

    def hurry(self) -> None:
        """Stop looking at it, so that its undo does not wait for a look."""
        if self._watch is not None:
            self._watch.hurry()

    def undo(self, *, again: bool = False) -> Window:
        """Look at it a last time and undo it, unless that was done; return when it was undone.

        `again` undoes what was undone before. Raises NotHealed when it takes too long.
        """
        self._end_task()
        return self._undo(again=again)

    def _undo(self, *, again: bool = False) -> Window:
        if not self._undoing.acquire(timeout=_UNDO_LIMIT_NS / SECOND):
            raise self._hangs()
        try:
            if not self._undo_begun and self.proven_ns is not None and self._watch is not None:
                self._watch.look_at_the_end()
            self._undo_begun = True  # one that failed may have undone it all the same
            if self.undone is None or again:
                self.undone = self._undo_in_time()
            return self.undone
        finally:
            self._undoing.release()

    def is_out(self) -> bool:
        """Tell whether it is undone; an undo under way is waited for."""
        if not self._undoing.acquire(timeout=_UNDO_LIMIT_NS / SECOND):
            return True
        try:
            return self.undone is not None
        finally:
            self._undoing.release()

    @property
    def _at_end(self) -> Proof | None:
        return None if self._watch is None else self._watch.at_end

    @property
    def _active_at_end(self) -> bool | None:
        """Whether it was active until it was undone; None: it was not looked at."""
        if self.lapse:
            return False
        return None if self._at_end is None else self._at_end.proven

    @property
    def _seen_at_end(self) -> dict[str, Scalar]:
        seen = {} if self._at_end is None else self._at_end.measured
        return {f"at_end_{name}": value for name, value in seen.items()}

    def _in_background(self, turns: Iterator[int]) -> None:
        self._end_task()
        self._task = self.scheduler.in_background(turns, f"fault {self.planned.step}")

    def _end_task(self) -> None:
        if self._task is not None:
            self._task.end(0)

    def _attend(self, due_ns: int, alone: bool) -> Iterator[int]:
        assert self._watch is not None
        look_ns = (self.scheduler.now_ns() + due_ns) // 2
        while (now_ns := self.scheduler.now_ns()) < due_ns:
            if now_ns >= look_ns:
                with self._undoing:
                    if self.undone is None:
                        look_ns = self._watch.look(due_ns, alone=alone)
            if self.undone is not None:
                return
            self._watch.poll()
            yield min(self.scheduler.now_ns() + TURN_NS, due_ns, look_ns)
        self._undo_quietly()

    def _undo_in_time(self) -> Window:
        try:
            return self.scheduler.call(self.injection.undo).result(_UNDO_LIMIT_NS)
        except NotInTime:
            raise self._hangs() from None

    def _hangs(self) -> NotHealed:
        return NotHealed(
            f"{self.planned.fault} of {self.planned.target}: the undo did not finish within "
            f"{_UNDO_LIMIT_NS / SECOND:g} s"
        )

    def _undo_quietly(self) -> None:
        # The conductor undoes it again before it proves it healed, and reports an error then.
        with suppress(Exception):
            self._undo()
