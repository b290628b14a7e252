"""Promote: a replica becomes a primary of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.postgres.server import LOOK_LIMIT_S, PostgresServer, SqlError, server_of

__all__ = ["Promote"]

_PROMOTION_LIMIT_S = 20

_PROMOTE = f"SELECT pg_promote(true, {_PROMOTION_LIMIT_S})"
# A standby whose primary is gone receives nothing, and still knows what it replays.
_STANDBY = """
SELECT pg_is_in_recovery(), coalesce(
  (SELECT received_tli FROM pg_stat_wal_receiver),
  (SELECT nullif(min_recovery_end_timeline, 0) FROM pg_control_recovery()),
  (SELECT timeline_id FROM pg_control_checkpoint()))
"""
_TIMELINE = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """A replica stops following and accepts writes; if its primary lives, there are two primaries.

    Mechanism: `pg_promote`. Proven when it is out of recovery, writes its log on the next
    timeline, and commits a row. Undone as after a real failover: its data are dropped, it copies
    its primary anew, and streams from it. What was written to it alone is lost.
    """

    verb: ClassVar[str] = "promote"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"postgres-replica"})
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its replay")
    target: str
    """The replica."""

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        server = server_of(environment, self.target)
        try:
            ((standby, timeline),) = server.rows(_STANDBY)
        except SqlError as error:
            raise EnvironmentRefused(f"promote of {self.target}: {error}") from error
        if standby is not True:
            raise EnvironmentRefused(f"promote of {self.target}: it is promoted without it")
        return _Promoting(environment.clock, service, server, int(str(timeline)))


class _Promoting:
    """One promotion, and the copy that undoes it."""

    def __init__(
        self,
        clock: Clock,
        service: Service,
        server: PostgresServer,
        timeline: int,
    ) -> None:
        self._clock = clock
        self._service = service
        self._server = server
        self._before = timeline
        self.undo_text = (
            f"drop the data of {self._service.spec.name} and let it copy its primary anew"
        )
        self.asked: Mapping[str, Scalar] = {"timeline": self._before + 1}

    def inject(self) -> Window:
        limit_s = _PROMOTION_LIMIT_S + 5
        return timed(self._clock, lambda: self._server.rows(_PROMOTE, limit_s=limit_s))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Out of recovery, on the next timeline, and a row is committed."""
        measured: dict[str, Scalar] = {"timeline_before": self._before}
        try:
            standby = self._server.rows(_STANDBY)[0][0] is not False
            measured["in_recovery"] = standby
            if standby:
                return Proof(proven=False, measured=measured)
            timeline = int(str(self._server.rows(_TIMELINE)[0][0]))
        except SqlError as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        answer = answers_again(self._service, checkpoint)
        return Proof(
            proven=timeline == self._before + 1 and answer.proven,
            measured={**measured, "timeline": timeline, **answer.measured},
        )

    def is_active(self) -> Proof:
        standby = self._server.rows(_STANDBY, limit_s=LOOK_LIMIT_S)[0][0]
        return Proof(proven=standby is False, measured={"in_recovery": standby is not False})

    def undo(self) -> Window:
        """Copy the primary anew, unless it is a standby for certain."""
        return timed(self._clock, self._copy_anew)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """In recovery, and streaming on the primary's timeline."""
        answer = answers_again(self._service, checkpoint)
        measured = dict(answer.measured)
        try:
            ((standby, timeline),) = self._server.rows(_STANDBY)
        except SqlError as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured |= {
            "in_recovery_after": standby is True,
            "timeline_after": int(str(timeline)),
        }
        follows = standby is True and timeline == self._before
        return Proof(proven=answer.proven and follows, measured=measured)

    def _copy_anew(self) -> None:
        if not self._is_standby():
            self._service.remove(keep_data=False)
        self._service.start_again()

    def _is_standby(self) -> bool:
        try:
            return self._server.rows(_STANDBY)[0][0] is True
        except SqlError:
            return False
