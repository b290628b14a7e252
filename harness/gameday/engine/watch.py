"""Whether a fault stays active, from its proof until it is due to be undone."""

from contextlib import suppress

from gameday.api.fault import Injection, Lasting, Proof, Watchful
from gameday.engine.scheduler import Call, Scheduler
from gameday.host.waiting import NotInTime
from gameday.model.clock import MILLISECOND, SECOND

__all__ = ["TURN_NS", "Watch"]

TURN_NS = 20 * MILLISECOND
"""How often a fault is asked whether it has lapsed."""
_LOOK_LIMIT_NS = 2 * SECOND
"""How long one look may take; one that takes longer does not show that the fault is active."""
_BETWEEN_LOOKS_NS = 250 * MILLISECOND
_SHARE_OF_LOOKS = 50
_FRESH_NS = 100 * MILLISECOND


class Watch:
    """What is seen of one injection while it is active. One thread at a time may look."""

    def __init__(self, injection: Injection, scheduler: Scheduler) -> None:
        self._injection = injection
        self._scheduler = scheduler
        self.at_end: Proof | None = None
        """What was seen last before the undo; None: it was not looked at."""
        self.lapse = ""
        """What shows that it was not active for a while; empty: nothing does."""
        self._hurried = False
        self._looking: Call[Proof] | None = None
        self._looked_ns: int | None = None
        """When it was last seen to be active."""
        self._look_ns = 0
        """How long that look took."""

    def hurry(self) -> None:
        """Stop looking, and do not wait for a look that is under way."""
        self._hurried = True
        if self._looking is not None:
            self._looking.abandon()

    def poll(self) -> None:
        """Ask, at almost no cost, whether it has been active all the time."""
        if isinstance(self._injection, Watchful) and not (self.lapse or self._hurried):
            with suppress(Exception):  # what cannot be read shows nothing
                self.lapse = self._injection.lapse()

    def look(self, due_ns: int, *, alone: bool) -> int:
        """Look whether it is active, and return when to look again; `due_ns`: no more.

        The last look begins early enough for its answer to be there when the undo is due. Before
        that a fault that is active alone is looked at for a fiftieth of the time. A look that
        another fault may have disturbed says nothing.
        """
        if self._hurried or not isinstance(self._injection, Lasting):
            return due_ns
        began_ns = self._scheduler.now_ns()
        seen = self._see(self._injection)
        if seen is not None and alone and _shows_that_it_is_out(seen):
            # A fault that is being renewed at this very moment is active.
            self._scheduler.sleep_ns(TURN_NS)
            seen = self._see(self._injection)
        now_ns = self._scheduler.now_ns()
        if seen is not None and (seen.proven or (alone and _shows_that_it_is_out(seen))):
            self.at_end, self._looked_ns, self._look_ns = seen, now_ns, now_ns - began_ns
            if not seen.proven:
                return due_ns
        last_ns = due_ns - 2 * (now_ns - began_ns) - TURN_NS
        if now_ns >= last_ns:
            return due_ns
        next_ns = now_ns + max(_BETWEEN_LOOKS_NS, _SHARE_OF_LOOKS * (now_ns - began_ns))
        return min(next_ns, last_ns) if alone else last_ns

    def look_at_the_end(self) -> None:
        """Look right before the undo, unless the last look was a moment ago."""
        if self._hurried or not isinstance(self._injection, Lasting):
            return
        self.poll()
        if self.at_end is not None and not self.at_end.proven:
            return
        if self._looked_ns is not None:
            ago_ns = self._scheduler.now_ns() - self._looked_ns
            if ago_ns <= 3 * self._look_ns + _FRESH_NS:
                return
        self.at_end = self._see(self._injection) or self.at_end

    def _see(self, injection: Lasting) -> Proof | None:
        """Look for a limited time; None: `hurry` was called."""

        def look() -> Proof:
            try:
                return injection.is_active()
            except Exception as error:  # no reason not to undo the fault
                return _no_answer(str(error) or repr(error))

        if self._hurried:
            return None
        self._looking = call = self._scheduler.call(look)
        if self._hurried:  # since then
            call.abandon()
        try:
            return call.result(_LOOK_LIMIT_NS)
        except NotInTime:
            late = f"no answer within {_LOOK_LIMIT_NS / SECOND:g} s"
            return None if self._hurried else _no_answer(late)


def _no_answer(error: str) -> Proof:
    return Proof(proven=False, measured={"error": error})


def _shows_that_it_is_out(seen: Proof) -> bool:
    """Tell a fault that ended from a look that failed."""
    return not seen.proven and "error" not in seen.measured
