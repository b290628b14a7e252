"""One fault of a run, from when it is to come in until it is proven gone."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gameday.environment.waiting import NotInTime, within
from gameday.errors import NotHealed
from gameday.faults.protocol import Injection, Lasting, Proof
from gameday.model.clock import SECOND
from gameday.model.event import Scalar
from gameday.model.plan import PlannedFault
from gameday.model.result import Window

__all__ = ["Ongoing"]

_LOOK_LIMIT_S = 2.0
"""How long a fault may be looked at before it is undone; one that takes longer is not seen."""
_UNDO_LIMIT_S = 30.0
"""How long one undoing may take before the next fault is seen to; what hangs is left to hang."""


@dataclass(slots=True, kw_only=True)
class Ongoing:
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
