"""Stop replay: a replica receives what its primary commits, and does not show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, timed, until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.postgres.server import PostgresServer, SqlError, server_of

__all__ = ["StopReplay"]

_STATE_LIMIT_NS = 2 * SECOND
_RECEIVE_LIMIT_NS = 5 * SECOND
_CATCH_UP_LIMIT_NS = 20 * SECOND
_STAND_NS = 250 * MILLISECOND
"""For how long replay is watched standing; it usually follows within milliseconds."""

_WRITE = "SELECT (pg_logical_emit_message(true, 'gameday', repeat('x', 1000)) - '0/0')::bigint"
"""A kilobyte of log that no table, and nobody who reads one, ever sees."""
_POSITIONS = """
SELECT (pg_last_wal_receive_lsn() - '0/0')::bigint, (pg_last_wal_replay_lsn() - '0/0')::bigint,
       pg_is_wal_replay_paused()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplay:
    """A replica stops replaying: commits of its primary reach its log, but not its tables.

    Mechanism: `pg_wal_replay_pause`. Proven when a kilobyte is committed on the primary, the
    replica has received it, and its replay stands where it stood for 250 ms. Undone when it is not
    paused and has replayed all that it had received.
    """

    verb: ClassVar[str] = "stop-replay"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"postgres-replica"})
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its replay")
    target: str
    """The replica."""

    def on(self, environment: Environment) -> Injection:
        spec = environment.service(self.target).spec
        if len(spec.needs) != 1:
            raise EnvironmentRefused(f"stop-replay of {self.target}: it has no primary")
        return _Standing(
            environment.clock,
            self.target,
            server_of(environment, self.target),
            server_of(environment, spec.needs[0]),
        )


class _Standing:
    """One stop of the replay."""

    def __init__(
        self, clock: Clock, name: str, replica: PostgresServer, primary: PostgresServer
    ) -> None:
        self._clock = clock
        self._name = name
        self._replica = replica
        self._primary = primary
        self._trouble = ""
        self.undo_text = f"let {self._name} replay: SELECT pg_wal_replay_resume()"
        self.asked: Mapping[str, Scalar] = {}

    def inject(self) -> Window:
        return timed(self._clock, lambda: self._replica.rows("SELECT pg_wal_replay_pause()"))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """What is written arrives, and is not replayed."""
        try:
            until(self._clock, self._still, _STATE_LIMIT_NS, checkpoint)
            _, before, _ = self._positions()
            written = int(str(self._primary.rows(_WRITE)[0][0]))
            arrived = until(
                self._clock,
                lambda: self._positions()[0] >= written,
                _RECEIVE_LIMIT_NS,
                checkpoint,
            )
            self._clock.sleep_ns(_STAND_NS)
            received, replayed, paused = self._positions()
        except SqlError as error:
            return Proof(proven=False, measured={"error": str(error)})
        return Proof(
            proven=arrived and replayed == before and replayed < written <= received,
            measured={
                "paused": paused,
                "received_bytes": received - before,
                "replayed_bytes": replayed - before,
                "lag_bytes": received - replayed,
            },
        )

    def is_active(self) -> Proof:
        """It is to stand still; a replica that was started anew replays again."""
        received, replayed, paused = self._positions()
        return Proof(
            proven=paused, measured={"paused": paused, "lag_bytes": max(0, received - replayed)}
        )

    def undo(self) -> Window:
        resume = "SELECT pg_wal_replay_resume()"
        window, self._trouble = attempted(self._clock, lambda: self._replica.rows(resume))
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """It is not paused, and has caught up with all that it had received."""
        trouble = self._trouble
        goal: int | None = None
        seen: tuple[int, int, bool] | None = None

        def caught_up() -> bool:
            nonlocal trouble, goal, seen
            try:
                seen = self._positions()
            except SqlError as error:
                trouble = str(error)
                return False
            goal = seen[0] if goal is None else goal
            return not seen[2] and seen[1] >= goal

        done = until(self._clock, caught_up, _CATCH_UP_LIMIT_NS, checkpoint)
        measured: dict[str, Scalar] = {"error": trouble} if trouble else {}
        if seen is not None:
            measured |= {"paused_after": seen[2], "lag_after_bytes": max(0, seen[0] - seen[1])}
        return Proof(proven=done, measured=measured)

    def _still(self) -> bool:
        """Tell whether replay has come to its stand; the call itself only asks for it."""
        _, before, paused = self._positions()
        self._clock.sleep_ns(10 * MILLISECOND)
        return paused and self._positions()[1] == before

    def _positions(self) -> tuple[int, int, bool]:
        """Return what the replica has received and replayed, in bytes, and if it is to stand."""
        ((received, replayed, paused),) = self._replica.rows(_POSITIONS)
        return int(str(received)), int(str(replayed)), paused is True
