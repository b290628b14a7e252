"""Close-connections: the broker ends the connections that it has."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, NotReadyError
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed
from gameday.model.clock import MILLISECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.rabbitmq.broker import (
    ANSWER_LIMIT_NS,
    KIND,
    Broker,
    BrokerConnection,
    broker_of,
    erlang_text,
)

__all__ = ["CloseConnections"]

_LONGEST_REASON = 100
_STAYS_NS = 200 * MILLISECOND
"""How long a connection has to stay open to count as one that is left alone."""
_FORCED = "320 "
"""What AMQP calls a connection that an operator closed."""

# The list is read and closed in one go, so that nobody comes or leaves in between. A connection is
# over for the broker as soon as it is not running: a client that does not read may hold it open.
_CLOSE = """
Runs = fun(P) -> case catch rabbit_reader:info(P, [state]) of
  [{state, S}] -> lists:member(S, [running, blocking, blocked]); _ -> false end end,
All = rabbit_networking:connection_info_all([pid, user]),
Hit = [P || [{pid, P}, {user, U}] <- All, User =:= <<>> orelse U =:= User, Runs(P)],
[catch rabbit_networking:close_connection(P, binary_to_list(Reason)) || P <- Hit],
Left = fun F(0) -> length(lists:filter(Runs, Hit));
  F(N) -> case lists:any(Runs, Hit) of true -> timer:sleep(10), F(N - 1); false -> 0 end end,
{gameday, length(Hit), Left(200)}.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseConnections:
    """The broker closes every AMQP connection, or those of one user.

    It is over in a moment: who connects again is let in. `for` says only when the harness looks
    whether a new connection is served. Proven when there was at least one, and none of those that
    were listed is open any more. A connection of the harness's own gets 320 with the reason, and
    where another user was asked for it has to stay open.
    """

    verb: ClassVar[str] = "close-connections"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({KIND})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True)
    target: str
    """The broker."""
    user: str = ""
    """Whose connections; empty: everybody's."""
    reason: str = "closed by gameday"
    """What the broker tells its clients, at most 100 bytes."""

    def __post_init__(self) -> None:
        size = len(self.reason.encode())
        wanted = f"1 to {_LONGEST_REASON} bytes; these are {size}"
        require(("reason", 0 < size <= _LONGEST_REASON, wanted))

    def on(self, environment: Environment) -> Injection:
        broker = broker_of(environment, self.target, self.verb)
        return _Closing(environment.clock, broker, self)


class _Closing:
    """One closing: proven by what became of the listed connections and of our own."""

    def __init__(self, clock: Clock, broker: Broker, fault: CloseConnections) -> None:
        self._clock = clock
        self._broker = broker
        self._fault = fault
        self._is_hit = fault.user in ("", broker.user)
        self._witness: BrokerConnection | None = None
        self._listed = 0
        self._left: int | None = None
        self.undo_text = f"nothing: {self._fault.target} lets in who connects again"
        self.asked: Mapping[str, Scalar] = {
            "user": self._fault.user or "all",
            "reason": self._fault.reason,
        }

    def inject(self) -> Window:
        self._witness = self._broker.open()
        self._witness.publish()
        return timed(self._clock, self._close)

    def _close(self) -> None:
        user, reason = erlang_text(self._fault.user), erlang_text(self._fault.reason)
        told = self._broker.evaluate(f"User = {user}, Reason = {reason}, {_CLOSE}")
        listed, left = map(int, told.split(","))
        # Our own is none that anybody would miss.
        self._listed = listed - int(self._is_hit)
        self._left = left

    def prove(self, checkpoint: Checkpoint) -> Proof:
        checkpoint()
        heard = None
        if self._witness is not None:
            heard = self._witness.ended(ANSWER_LIMIT_NS if self._is_hit else _STAYS_NS)
        told = heard is not None and heard.startswith(_FORCED) and self._fault.reason in heard
        return Proof(
            proven=self._left == 0
            and self._listed > 0
            and (told if self._is_hit else heard is None),
            measured={
                "connections_before": self._listed,
                "still_open": self._left,
                "own_connection": heard or "open",
            },
        )

    def undo(self) -> Window:
        return timed(self._clock, *(() if self._witness is None else (self._witness.close,)))

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A write is confirmed, and a new connection is served and stays open."""
        answer = answers_again(self._broker.service, checkpoint)
        if not answer.proven:
            return answer
        try:
            with closing(self._broker.open()) as line:
                served = line.round_trip()
                ended = line.ended(_STAYS_NS)
        except (NotReadyError, EnvironmentRefused) as error:
            return Proof(proven=False, measured={**answer.measured, "error": str(error)})
        return Proof(
            proven=served and ended is None,
            measured={**answer.measured, "message_came_back": served, "stays_open": ended is None},
        )
