"""Lock table: every statement on one table waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed, until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.postgres.server import (
    LOOK_LIMIT_S,
    OURS,
    PostgresServer,
    SqlError,
    SqlSession,
    server_of,
)

__all__ = ["LockTable"]

_HOLDER = f"{OURS}-lock"
_PATIENCE_MS = 4000
"""How long it may take to get the lock, while whoever comes later waits behind us."""
_WAIT_MS = 250
"""How long a statement may wait before it is taken for one that waits."""
_END_LIMIT_NS = 5 * SECOND
_WAITED = "55P03"
_READY_TABLE = "gameday_ready"

_FIND = "SELECT to_regclass(%s)::oid::bigint, to_regclass(%s)::text"
_LOCKS = """
SELECT count(*) FILTER (WHERE granted AND mode = 'AccessExclusiveLock' AND pid = %s),
       count(*) FILTER (WHERE NOT granted)
FROM pg_locks WHERE locktype = 'relation' AND relation = %s::bigint::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_HELD = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND application_name = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTable:
    """Every statement on one table waits, as behind a migration that never ends.

    Mechanism: a session of the harness's own holds ACCESS EXCLUSIVE; it dies with the harness.
    Whoever holds a lock already is waited for, 4 s at most. Proven when the server lists the lock
    as granted to that session, a SELECT on the table waits for 250 ms, and a row is committed to
    another table. Undone when the session and its lock are gone and the same SELECT passes.
    """

    verb: ClassVar[str] = "lock-table"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"postgres"})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True)
    target: str
    """The server."""
    table: str
    """The table, as SQL writes it, such as "orders" or "shop.orders"."""

    def __post_init__(self) -> None:
        require(("table", bool(self.table.strip()), "a table's name, such as 'orders'"))

    def on(self, environment: Environment) -> Injection:
        server = server_of(environment, self.target)
        try:
            ((oid, name),) = server.rows(_FIND, self.table, self.table)
        except SqlError as error:
            raise EnvironmentRefused(f"lock-table of {self.target}: {error}") from error
        if oid is None:
            raise EnvironmentRefused(f"lock-table of {self.target}: no table {self.table!r} there")
        if name == _READY_TABLE:
            raise EnvironmentRefused(
                f"lock-table of {self.target}: {name} is where the harness sees that the server "
                "answers; lock another"
            )
        service = environment.service(self.target)
        return _Locking(environment.clock, self, service, server, int(str(oid)), str(name))


class _Locking:
    """One lock, held by a session that ends with it."""

    def __init__(
        self,
        clock: Clock,
        fault: LockTable,
        service: Service,
        server: PostgresServer,
        oid: int,
        name: str,
    ) -> None:
        self._clock = clock
        self._fault = fault
        self._service = service
        self._server = server
        self._oid = oid
        self._name = name
        """As the server itself quotes it."""
        self._holder: SqlSession | None = None
        self._pid = 0
        self.undo_text = f"end the session that has locked {self._name}"
        self.asked: Mapping[str, Scalar] = {"table": self._fault.table}

    def inject(self) -> Window:
        self._holder = self._server.open(_HOLDER, lock_limit_ms=_PATIENCE_MS)
        self._pid = self._holder.pid
        holder = self._holder

        def lock() -> None:
            try:
                holder.rows("BEGIN")
                holder.rows(f"LOCK TABLE {self._name} IN ACCESS EXCLUSIVE MODE")
            except SqlError:
                # Not ours in time: that is for the proof to say, and no reason to leave a session.
                holder.close()

        return timed(self._clock, lock)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """The lock is ours, the table waits, and another one does not."""
        try:
            ((granted, waiting),) = self._server.rows(_LOCKS, self._pid, self._oid)
        except SqlError as error:
            return Proof(proven=False, measured={"error": str(error)})
        checkpoint()
        code, took_ns = self._select()
        other = answers_again(self._service, checkpoint)
        waited = code == _WAITED and took_ns >= _WAIT_MS * MILLISECOND
        return Proof(
            proven=granted == 1 and waited and other.proven,
            measured={
                "locks_granted": int(str(granted)),
                "others_waiting": int(str(waiting)),
                "select_said": code,
                "select_waited_ns": took_ns,
                "other_table": other.proven,
            },
        )

    def is_active(self) -> Proof:
        """The session has its lock yet, by its own word: others may not be let in."""
        if self._holder is None:
            return Proof(proven=False)
        ((granted, waiting),) = self._holder.rows(
            _LOCKS, self._pid, self._oid, limit_s=LOOK_LIMIT_S
        )
        return Proof(
            proven=granted == 1,
            measured={"locks_granted": int(str(granted)), "others_waiting": int(str(waiting))},
        )

    def undo(self) -> Window:
        return timed(self._clock, *(() if self._holder is None else (self._holder.close,)))

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Neither the session nor its lock is left, and the table answers."""
        trouble = ""
        held = locks = 1

        def free() -> bool:
            nonlocal trouble, held, locks
            try:
                held = int(str(self._server.rows(_HELD, self._pid, _HOLDER)[0][0]))
                locks = int(str(self._server.rows(_LOCKS, self._pid, self._oid)[0][0]))
            except SqlError as error:
                trouble = str(error)
                return False
            trouble = ""
            return held == locks == 0

        gone = until(self._clock, free, _END_LIMIT_NS, checkpoint)
        code, took_ns = self._select()
        measured: dict[str, Scalar] = {
            "sessions_left": held,
            "locks_left": locks,
            "select_said_after": code,
            "select_took_after_ns": took_ns,
        }
        if trouble:
            measured["error"] = trouble
        return Proof(proven=gone and code == "answered", measured=measured)

    def _select(self) -> tuple[str, int]:
        """Return how a SELECT on the table ended, and after how long, without the login."""
        asked_ns = self._clock.now_ns()
        try:
            asking = self._server.open(lock_limit_ms=_WAIT_MS)
        except SqlError as error:
            return error.code or str(error), 0
        try:
            asked_ns = self._clock.now_ns()
            asking.rows(f"SELECT 1 FROM {self._name} LIMIT 1")  # noqa: S608  quoted by the server
        except SqlError as error:
            return error.code or str(error), self._clock.now_ns() - asked_ns
        finally:
            asking.close()
        return "answered", self._clock.now_ns() - asked_ns
