"""Client kill: the server ends the connections of its clients, once or again and again."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, timed, until
from gameday.model.clock import MILLISECOND, MINUTE, SECOND, BackgroundTask
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs
from gameday.technologies.redis.connection import RedisConnection
from gameday.technologies.redis.server import RedisServer, asked, text_of

__all__ = ["ClientKill"]

Clients = Literal["normal", "pubsub", "replica"]

_SHORTEST_NS = 100 * MILLISECOND
_LONGEST_NS = 10 * SECOND
_END_LIMIT_NS = SECOND
_BACK_LIMIT_NS = 10 * SECOND
_CALM_NS = 250 * MILLISECOND
_ATTEMPTS = 3
_KILLING_LIMIT_NS = 10 * MINUTE
_JOIN_LIMIT_NS = 5 * SECOND
_ID = re.compile(r"^id=(\d+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKill:
    """The server ends every connection of one type; clients may reconnect.

    Mechanism: CLIENT LIST and CLIENT KILL of that type in one transaction, so that nobody comes or
    goes in between. Without an `interval` that happens once; with it those who come back are
    killed again. Proof: as many were killed as were listed, none of them is listed any more, at
    least one was not the harness's own, and a connection of its own from before has ended; with
    an interval a second such connection ends after one interval, within 10 % or 50 ms. Undo: the
    killing ends; a new connection lives longer than an interval, replicas are back.
    """

    verb: ClassVar[str] = "client-kill"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis", "redis-replica"})
    target: str
    """The Redis server."""
    clients: Clients = "normal"
    """Whose connections: those that send commands, those that are subscribed, or replicas."""
    interval_ns: DurationNs = 0
    """Kills reconnected clients again after this time, 100ms to 10s; 0s: kills once."""

    def __post_init__(self) -> None:
        fits = not self.interval_ns or _SHORTEST_NS <= self.interval_ns <= _LONGEST_NS
        require(("interval", fits, "100ms to 10s, or 0s for a single kill"))

    def on(self, environment: Environment) -> Injection:
        server = RedisServer(environment, self.target)
        kind = _KillingOn if self.interval_ns else _Killing
        return kind(server, self.clients, self.interval_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What one kill did."""

    at_ns: int
    listed: frozenset[int]
    killed: int


class _Killing:
    """The kills of one fault, by a thread if there are many."""

    def __init__(self, server: RedisServer, clients: Clients, interval_ns: int) -> None:
        self._clock = server.clock
        self._server = server
        self._clients = clients
        self._interval_ns = interval_ns
        self._rounds: list[_Round] = []
        self._witness: RedisConnection | None = None
        self._own: set[int] = set()
        self._task: BackgroundTask | None = None
        self.undo_text = (
            "stop killing clients" if self._interval_ns else "nothing: clients may come back"
        )
        self.asked: Mapping[str, Scalar] = {
            "clients": self._clients,
            "interval_ns": self._interval_ns,
        }

    def inject(self) -> Window:
        self._witness = self._open_witness()
        window = timed(self._clock, self._kill)
        if self._interval_ns:
            self._task = self._clock.in_background(self._go_on(), "client-kill")
        return window

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """The listed ones are gone, ours among them."""
        if not self._rounds:
            return Proof(proven=False, measured={"killed": 0})
        first = self._rounds[0]
        gone = until(
            self._clock, lambda: not (first.listed & self._ids()), _END_LIMIT_NS, checkpoint
        )
        others = len(first.listed - self._own)
        measured: dict[str, Scalar] = {
            "listed": len(first.listed),
            "killed": first.killed,
            "killed_of_others": others,
            "all_gone": gone,
        }
        ended = True
        if self._witness is not None:
            ended = measured["own_connection_ended"] = self._witness.ended(_END_LIMIT_NS)
        again = True
        if self._interval_ns and gone and ended:
            again = self._again(measured, checkpoint)
        whole = first.killed == len(first.listed)
        return Proof(proven=gone and ended and whole and others > 0 and again, measured=measured)

    def undo(self) -> Window:
        return timed(self._clock, self._stop)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Nobody kills any more, so a new connection outlives an interval."""
        measured: dict[str, Scalar] = {
            "rounds": len(self._rounds),
            "killed_in_all": sum(one.killed for one in self._rounds),
            "still_killing": self._kills_on(),
        }
        if self._witness is not None:
            self._witness.close()
        calm_ns = max(_CALM_NS, self._interval_ns * 3 // 2)
        try:
            lives = self._lives(calm_ns)
            back = self._clients != "replica" or self._replicas_are_back(measured, checkpoint)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured["new_connection_lives_ns" if lives else "new_connection_ended_within_ns"] = calm_ns
        return Proof(proven=lives and back and not measured["still_killing"], measured=measured)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.end(_JOIN_LIMIT_NS)

    def _kills_on(self) -> bool:
        return self._task is not None and self._task.alive()

    def _again(self, measured: dict[str, Scalar], checkpoint: Checkpoint) -> bool:
        """Measure how long a connection lives that is opened as another is killed."""
        tolerance_ns = max(self._interval_ns // 10, 50 * MILLISECOND)
        for attempt in range(1, _ATTEMPTS + 1):
            checkpoint()
            opened = self._open_witness()
            if opened is None:
                return self._rounds_go_on(measured, checkpoint)
            opened.ended(2 * self._interval_ns)  # up to the next kill, from whenever it is
            opened.close()
            follower = self._open_witness()
            began_ns = self._clock.now_ns()
            assert follower is not None
            ended = follower.ended(2 * self._interval_ns)
            lived_ns = self._clock.now_ns() - began_ns
            follower.close()
            measured |= {"interval_actual_ns": lived_ns, "attempts": attempt}
            if ended and abs(lived_ns - self._interval_ns) <= tolerance_ns:
                return True
        return False

    def _rounds_go_on(self, measured: dict[str, Scalar], checkpoint: Checkpoint) -> bool:
        """Wait for a replica that came back to be killed again."""

        def again() -> bool:
            return sum(bool(one.killed) for one in self._rounds) > 1

        came = until(self._clock, again, self._interval_ns + _BACK_LIMIT_NS, checkpoint)
        measured["killed_again"] = came
        return came

    def _go_on(self) -> Iterator[int]:
        """Kill by a schedule, so that what the kills take does not add up; bounded in time."""
        began_ns = self._clock.now_ns()
        for number in range(1, _KILLING_LIMIT_NS // self._interval_ns):
            yield began_ns + number * self._interval_ns
            # A server that is down for a while has no clients to kill, and is asked again.
            attempted(self._clock, self._kill)

    def _kill(self) -> None:
        line = self._server.line()
        try:
            own = asked(line, "CLIENT", "ID")
            asked(line, "MULTI")
            asked(line, "CLIENT", "LIST", "TYPE", self._clients)
            asked(line, "CLIENT", "KILL", "TYPE", self._clients, "SKIPME", "yes")
            done = asked(line, "EXEC")
            at_ns = self._clock.now_ns()
        finally:
            line.close()
        if not isinstance(done, list) or not isinstance(done[1], int):
            raise EnvironmentRefused(f"CLIENT KILL TYPE {self._clients}: {done}")
        listed = _ids_in(text_of(done[0])) - {own}
        self._rounds.append(_Round(at_ns=at_ns, listed=frozenset(listed), killed=done[1]))

    def _ids(self) -> frozenset[int]:
        return _ids_in(text_of(self._server.ask("CLIENT", "LIST")))

    def _open_witness(self) -> RedisConnection | None:
        """Open a connection of the type that is killed; a replica cannot be played."""
        if self._clients == "replica":
            return None
        line = self._server.line()
        own = asked(line, "CLIENT", "ID")
        assert isinstance(own, int)
        self._own.add(own)
        if self._clients == "pubsub":
            asked(line, "SUBSCRIBE", "gameday:witness")
        return line

    def _lives(self, calm_ns: int) -> bool:
        line = self._open_witness() or self._server.line()
        try:
            return not line.ended(calm_ns)
        finally:
            line.close()

    def _replicas_are_back(self, measured: dict[str, Scalar], checkpoint: Checkpoint) -> bool:
        wanted = len(self._rounds[0].listed) if self._rounds else 0

        def count() -> int:
            replicas = self._server.ask("CLIENT", "LIST", "TYPE", "replica")
            return len(_ids_in(text_of(replicas)))

        came = until(self._clock, lambda: count() >= wanted, _BACK_LIMIT_NS, checkpoint)
        measured["replicas_after"] = count()
        return came


class _KillingOn(_Killing):
    """Kills that go on, which those of a single round do not."""

    def is_active(self) -> Proof:
        kills = self._kills_on()
        return Proof(proven=kills, measured={"killing": kills, "rounds": len(self._rounds)})


def _ids_in(clients: str) -> frozenset[int]:
    return frozenset(int(number) for number in _ID.findall(clients))
