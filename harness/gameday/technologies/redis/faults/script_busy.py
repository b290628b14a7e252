"""Busy script: a Redis server is in a script that does not end, and does nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, undo_error
from gameday.model.clock import MICROSECOND, MILLISECOND, MINUTE, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits, Target
from gameday.model.units import DurationNs, format_duration
from gameday.technologies.redis.connection import RedisConnection, Refusal, Reply
from gameday.technologies.redis.server import RedisServer

__all__ = ["ScriptBusy"]

_THRESHOLD = "lua-time-limit"
"""Called busy-reply-threshold from 7.0 on, which still knows this name."""

# A turn is some hundred microseconds. The clock ends the script on servers whose clock goes on
# during one, as 7.0's does; where it stands still, the number of turns does. It writes nothing, or
# nobody could kill it.
_SCRIPT = """
local first = redis.call('TIME')
for turn = 1, tonumber(ARGV[2]) do
  for step = 1, 100000 do end
  local now = redis.call('TIME')
  local spent = (now[1] - first[1]) * 1000000 + now[2] - first[2]
  if spent >= tonumber(ARGV[1]) then return turn end
end
return tonumber(ARGV[2])
"""
_TRIALS = 3
_TRIAL_TURNS = 50
_SLACK = 4
"""A trial on a busy host is slow; where the clock does its part, the turns are never used up."""
_ENDLESS_US = "1000000000000"
_EARLY_NS = 5 * MILLISECOND
"""How much earlier than its threshold a server may say BUSY: it counts in milliseconds."""
_ANSWER_LIMIT_NS = 2 * SECOND
_LOOK_LIMIT_NS = SECOND
_QUESTIONS = 3
"""One that overtook the script is answered well, and late; the next one is not."""
_CALM_LIMIT_NS = 5 * SECOND
_PAUSE_NS = 20 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptBusy:
    """The server runs an endless script: it does not answer at first, then answers BUSY.

    Mechanism: EVAL of a loop that writes nothing; the time from which on a server says BUSY is set
    to `busy_after`. The loop has a bound of its own, `at_most`. Proof: a question from just
    after the script's start is answered with BUSY, not before `busy_after` and within 2 s of it.
    Undo: SCRIPT KILL while the script is ours, the old threshold is set; PING is answered and the
    threshold reads as before.
    """

    verb: ClassVar[str] = "script-busy"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis", "redis-replica"})
    target: str
    """The Redis server."""
    busy_after_ns: DurationNs = 100 * MILLISECOND
    """How long it is silent before it answers BUSY, 50ms to 10s; Redis's own default is 5s."""
    at_most_ns: DurationNs = 2 * MINUTE
    """When the script ends by itself, 1s to 10min; must be longer than `for`."""

    def __post_init__(self) -> None:
        silent_ns, most_ns = self.busy_after_ns, self.at_most_ns
        fits = 50 * MILLISECOND <= silent_ns <= 10 * SECOND and not silent_ns % MILLISECOND
        require(
            ("busy_after", fits, "50ms to 10s in whole milliseconds"),
            ("at_most", SECOND <= most_ns <= 10 * MINUTE, "1s to 10min"),
            ("at_most", silent_ns <= most_ns, "no less than busy_after"),
        )

    def validate_in_context(self, target: Target, for_ns: int) -> None:
        """Refuse a script that comes to its own end while the fault is to be in."""
        wanted = f"more than the fault's `for`, {format_duration(for_ns)}"
        require(("at_most", self.at_most_ns > for_ns, wanted))

    def on(self, environment: Environment) -> Injection:
        server = RedisServer(environment, self.target)
        return _Keeping(server, self, before=server.setting(_THRESHOLD))


class _Keeping:
    """One script that keeps a server busy, until it is killed or comes to its own end."""

    def __init__(self, server: RedisServer, fault: ScriptBusy, *, before: str) -> None:
        self._clock = server.clock
        self._server = server
        self._fault = fault
        self._before = before
        self._script: RedisConnection | None = None
        self._witness: RedisConnection | None = None
        self._began_ns = 0
        self._held_ns: int | None = None
        self._ended_by = "nothing was started"
        self._trouble = ""
        self.undo_text = f"kill the script and set {_THRESHOLD} {self._before}"
        self.asked: Mapping[str, Scalar] = {
            "busy_after_ns": self._fault.busy_after_ns,
            "at_most_ns": self._fault.at_most_ns,
        }

    def inject(self) -> Window:
        turns = self._turns_within(self._fault.at_most_ns)
        self._witness = self._server.line()
        self._script = self._server.line()
        called_ns = self._clock.now_ns()
        self._server.set(_THRESHOLD, str(self._fault.busy_after_ns // MILLISECOND))
        bound_us = str(self._fault.at_most_ns // MICROSECOND)
        self._began_ns = self._clock.now_ns()
        self._script.send("EVAL", _SCRIPT, "0", bound_us, str(turns))
        return Window(start_ns=called_ns, end_ns=self._clock.now_ns())

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Ask, and be told BUSY no earlier than asked for."""
        witness = self._witness = self._witness or self._server.line()
        began_ns = self._began_ns or self._clock.now_ns()
        answer: Reply = None
        try:
            for _ in range(_QUESTIONS):
                checkpoint()
                witness.send("PING")
                answer = witness.receive(self._fault.busy_after_ns + _ANSWER_LIMIT_NS)
                if isinstance(answer, Refusal):
                    break
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={"error": str(error)})
        silent_ns = self._clock.now_ns() - began_ns
        busy = isinstance(answer, Refusal) and answer.startswith("BUSY")
        proven = busy and silent_ns >= self._fault.busy_after_ns - _EARLY_NS
        return Proof(
            proven=proven, measured={"answer": str(answer)[:60], "silent_actual_ns": silent_ns}
        )

    def is_active(self) -> Proof:
        """The script's own connection has heard nothing, and others hear BUSY, which is at once."""
        runs = self._script is not None and not self._script.said()
        answer = self._server.answer("PING", limit_ns=_LOOK_LIMIT_NS)
        busy = isinstance(answer, Refusal) and answer.startswith("BUSY")
        return Proof(
            proven=runs and busy, measured={"script_runs": runs, "answer": str(answer)[:60]}
        )

    def undo(self) -> Window:
        window, self._trouble = attempted(
            self._clock, self._end_script, lambda: self._server.set(_THRESHOLD, self._before)
        )
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """PING is answered with PONG, and the threshold is what it was."""
        measured: dict[str, Scalar] = {
            "ended_by": self._ended_by,
            "held_actual_ns": self._held_ns,
            **undo_error(self._trouble),
        }
        for line in (self._script, self._witness):
            if line is not None:
                line.close()
        try:
            answer = self._server.answer("PING")
            threshold = self._server.setting(_THRESHOLD)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured |= {"answer_after": str(answer), "threshold_after": threshold}
        return Proof(
            proven=answer == "PONG" and int(threshold) == int(self._before), measured=measured
        )

    def _end_script(self) -> None:
        """Kill what is ours; whatever else may be running by then is let alone."""
        if self._script is None or not self._began_ns or self._held_ns is not None:
            return
        give_up_ns = self._clock.now_ns() + self._fault.busy_after_ns + _CALM_LIMIT_NS
        by_itself = self._script.said()
        while not self._script.said():
            # Before the threshold a server hears nothing, not even this.
            self._server.answer(
                "SCRIPT", "KILL", limit_ns=self._fault.busy_after_ns + _ANSWER_LIMIT_NS
            )
            if self._clock.now_ns() > give_up_ns:
                raise EnvironmentRefused("SCRIPT KILL does not end the script")
            self._clock.sleep_ns(_PAUSE_NS)
        self._held_ns = self._clock.now_ns() - self._began_ns
        self._ended_by = "itself, or its server's end" if by_itself else "SCRIPT KILL"

    def _turns_within(self, limit_ns: int) -> int:
        """Return how many turns of the script take surely that long, and some four times at most.

        The way to the server and back is left out: it is longer than many turns.
        """
        whole_ns = self._trial_ns(1 + _TRIAL_TURNS)
        turns_ns = max(whole_ns - self._trial_ns(1), whole_ns // _SLACK)
        return _SLACK * limit_ns * _TRIAL_TURNS // turns_ns

    def _trial_ns(self, turns: int) -> int:
        """Return what that many turns take, the quickest of some trials."""
        trials = []
        for _ in range(_TRIALS):
            began_ns = self._clock.now_ns()
            self._server.ask("EVAL", _SCRIPT, "0", _ENDLESS_US, str(turns))
            trials.append(self._clock.now_ns() - began_ns)
        return min(trials)
