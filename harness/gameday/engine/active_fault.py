"""One fault of a run, from when it is to come in until it is proven gone."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gameday.api.fault import Injection, Lasting, Proof, Watchful
from gameday.errors import NotHealed
from gameday.host.waiting import NotInTime, within
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.plan import PlannedFault
from gameday.model.result import Window

__all__ = ["ActiveFault"]

_LOOK_LIMIT_S = 2.0
"""How long a fault may be looked at before it is undone; one that takes longer is not seen."""
_TURN_NS = 20 * MILLISECOND
"""How often it is asked for what shows that it was not in for a while."""
_BETWEEN_LOOKS_NS = 250 * MILLISECOND
_SHARE_OF_LOOKS = 50
_FRESH_NS = 100 * MILLISECOND
_UNDO_LIMIT_S = 30.0
"""How long one undoing may take before the next fault is seen to; what hangs is left to hang."""


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """One fault from the moment its undo is recorded, and what is known of it afterwards."""

    planned: PlannedFault
    injection: Injection
    injected: Window | None = None
    proven_ns: int | None = None
    at_end: Proof | None = None
    """What was seen right before the undoing; None: it was not looked at."""
    lapse: str = ""
    """What shows that it was not in for a while after its proof; empty: nothing does."""
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
    _looked_ns: int | None = None
    """When it was last seen to be in."""
    _look_ns: int = 0
    """How long that look took."""
    _looked: threading.Event = field(default_factory=threading.Event)
    """Set once nobody is to wait for the look that is under way."""
    _over: threading.Event = field(default_factory=threading.Event)
    """Set once nobody is to look after it any more."""

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

    def attend(self, wait_ns: int, *, alone: bool) -> None:
        """Look after it for that time, now that it is proven, and undo it on time.

        `alone`: no other fault is in meanwhile, which could keep it from being seen.
        """
        if self._timer is not None:
            self._timer.cancel()
        due_ns = time.monotonic_ns() + wait_ns
        threading.Thread(target=self._attend, args=(due_ns, alone), daemon=True).start()

    @property
    def lasted(self) -> bool:
        """Whether nothing speaks against its having been in until it was undone."""
        return not self.lapse and (self.at_end is None or self.at_end.proven)

    def hurry(self) -> None:
        """Let nobody look at it any more, nor wait for a look, before it is undone."""
        self._hurried = True
        self._looked.set()

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
                self._look_at_the_end()
            if self.undone is None or again:
                self.undone = self._undo_in_time()
            self._over.set()
            return self.undone
        finally:
            self._undoing.release()

    def is_out(self) -> bool:
        """Tell whether its undoing has begun, and wait for it as `undo` does."""
        if not self._undoing.acquire(timeout=_UNDO_LIMIT_S):
            return True
        try:
            return self.undone is not None
        finally:
            self._undoing.release()

    def _undo_in_time(self) -> Window:
        try:
            return within(_UNDO_LIMIT_S, self.injection.undo)
        except NotInTime:
            raise self._hangs() from None

    def _hangs(self) -> NotHealed:
        return NotHealed(
            f"{self.planned.fault} of {self.planned.target}: its undoing has not ended within "
            f"{_UNDO_LIMIT_S:g} s"
        )

    def _undo_quietly(self) -> None:
        # Whoever comes to re-read it undoes it again, and then an error is told.
        with suppress(Exception):
            self.undo()

    def _attend(self, due_ns: int, alone: bool) -> None:
        next_ns = (time.monotonic_ns() + due_ns) // 2
        while (now_ns := time.monotonic_ns()) < due_ns:
            if now_ns >= next_ns:
                next_ns = self._look_early(due_ns, alone)
            self._watch()
            rest_ns = min(_TURN_NS, min(due_ns, next_ns) - time.monotonic_ns())
            if self._over.wait(max(0, rest_ns) / SECOND):
                return
        self._undo_quietly()

    def _watch(self) -> None:
        """Ask at next to no cost whether it has been in all the time."""
        if isinstance(self.injection, Watchful) and not (self.lapse or self._hurried):
            with suppress(Exception):  # what cannot be read shows nothing
                self.lapse = self.injection.lapse()

    def _look_early(self, due_ns: int, alone: bool) -> int:
        """Look whether it is in still, and return when to look again.

        The last look begins early enough for its answer to be there when the undo is due. Before
        that a fault that is in alone is looked at for a fiftieth of the time. What another fault
        may have kept from being seen says nothing.
        """
        with self._undoing:
            if self.undone is not None or self._hurried or not isinstance(self.injection, Lasting):
                return due_ns
            began_ns = time.monotonic_ns()
            seen = self._see(self.injection)
            if seen is not None and alone and _shows_that_it_is_out(seen):
                # What is being put right at that very moment is in.
                self._over.wait(_TURN_NS / SECOND)
                seen = self._see(self.injection)
            now_ns = time.monotonic_ns()
            if seen is not None and (seen.proven or (alone and _shows_that_it_is_out(seen))):
                self.at_end, self._looked_ns, self._look_ns = seen, now_ns, now_ns - began_ns
                if not seen.proven:
                    return due_ns
        last_ns = due_ns - 2 * (now_ns - began_ns) - _TURN_NS
        if now_ns >= last_ns:
            return due_ns
        next_ns = now_ns + max(_BETWEEN_LOOKS_NS, _SHARE_OF_LOOKS * (now_ns - began_ns))
        return min(next_ns, last_ns) if alone else last_ns

    def _look_at_the_end(self) -> None:
        """Ask whether it is in still, if it ever was, unless that was seen a moment ago."""
        if self._hurried or self.proven_ns is None or not isinstance(self.injection, Lasting):
            return
        self._watch()
        if self.at_end is not None and not self.at_end.proven:
            return
        if self._looked_ns is not None:
            ago_ns = time.monotonic_ns() - self._looked_ns
            if ago_ns <= 3 * self._look_ns + _FRESH_NS:
                return
        self.at_end = self._see(self.injection) or self.at_end

    def _see(self, injection: Lasting) -> Proof | None:
        """Look for a limited time; None: there was a hurry."""
        seen: list[Proof] = []
        self._looked = looked = threading.Event()

        def look() -> None:
            try:
                seen.append(injection.is_active())
            except Exception as error:  # no reason to leave the fault in
                seen.append(Proof(proven=False, measured={"error": str(error) or repr(error)}))
            finally:
                looked.set()

        if self._hurried:
            return None
        threading.Thread(target=look, daemon=True).start()
        in_time = looked.wait(_LOOK_LIMIT_S)
        if seen:
            return seen[0]
        if in_time:
            return None
        error = f"no answer within {_LOOK_LIMIT_S:g} s"
        return Proof(proven=False, measured={"error": error})


def _shows_that_it_is_out(seen: Proof) -> bool:
    """Tell it from a question that failed."""
    return not seen.proven and "error" not in seen.measured
