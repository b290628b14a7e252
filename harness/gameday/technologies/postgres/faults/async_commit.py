"""Async commit: the server confirms commits before they are on its disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, timed, until
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.postgres.server import PostgresServer, SqlError, server_of

__all__ = ["AsyncCommit"]

_SETTING_LIMIT_NS = 3 * SECOND
_COMMITS = 20
_CHANGEABLE = ("default", "configuration file")

_NOW = "SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'"
_OWN = """
SELECT setting FROM pg_file_settings
WHERE name = 'synchronous_commit' AND sourcefile LIKE '%postgresql.auto.conf'
"""
_COMMIT = "SELECT pg_logical_emit_message(true, 'gameday', '')::text"
_BEHIND = "SELECT greatest(0, %s::pg_lsn - pg_current_wal_flush_lsn())::bigint"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncCommit:
    """Commits are confirmed before they are flushed: a crash loses about the last 600 ms of them.

    Mechanism: ALTER SYSTEM and a reload, so it holds for every session, the open ones too, that
    has no setting of its own. Proven when a new session reads `off` and, of 20 commits, at least
    one was confirmed while the flushed log ended before it, which no synchronous commit ever is.
    Undone when the server's file says what it said before, a new session reads the old value, and
    20 commits were all flushed when they were confirmed.
    """

    verb: ClassVar[str] = "async-commit"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"postgres"})
    conflicts: ClassVar[Conflicts] = Conflicts(outlives_process=True)
    target: str
    """The server."""

    def on(self, environment: Environment) -> Injection:
        server = server_of(environment, self.target)
        try:
            ((value, source),) = server.rows(_NOW)
            own = _own(server)
        except SqlError as error:
            raise EnvironmentRefused(f"async-commit of {self.target}: {error}") from error
        if value == "off":
            raise EnvironmentRefused(
                f"async-commit of {self.target}: synchronous_commit is off without it"
            )
        if source not in _CHANGEABLE:
            raise EnvironmentRefused(
                f"async-commit of {self.target}: synchronous_commit is set by its {source}, which "
                "ALTER SYSTEM cannot change; leave it out of the target's options"
            )
        return _Confirming(environment.clock, server, value=str(value), own=own)


class _Confirming:
    """One setting, and what it was before."""

    def __init__(
        self, clock: Clock, server: PostgresServer, *, value: str, own: str | None
    ) -> None:
        self._clock = clock
        self._server = server
        self._value = value
        self._own = own
        """What ALTER SYSTEM had set before; None: nothing."""
        self._trouble = ""
        self.undo_text = f"{self._restoring}; SELECT pg_reload_conf()"
        self.asked: Mapping[str, Scalar] = {"synchronous_commit": "off"}

    @property
    def _restoring(self) -> str:
        if self._own is None:
            return "ALTER SYSTEM RESET synchronous_commit"
        return f"ALTER SYSTEM SET synchronous_commit = '{self._own}'"

    def inject(self) -> Window:
        setting = "ALTER SYSTEM SET synchronous_commit = 'off'"
        return timed(self._clock, lambda: self._configure(setting))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """A new session reads it, and a commit is confirmed too early."""
        try:
            reads = until(
                self._clock, lambda: self._reads() == "off", _SETTING_LIMIT_NS, checkpoint
            )
            early, most = self._early()
            value = self._reads()
        except SqlError as error:
            return Proof(proven=False, measured={"error": str(error)})
        return Proof(
            proven=reads and early > 0,
            measured={
                "reads": value,
                "commits": _COMMITS,
                "confirmed_early": early,
                "most_unflushed_bytes": most,
            },
        )

    def is_active(self) -> Proof:
        """A new session reads it; the server's file keeps it over a new start."""
        value = self._reads()
        return Proof(proven=value == "off", measured={"reads": value})

    def undo(self) -> Window:
        window, self._trouble = attempted(self._clock, lambda: self._configure(self._restoring))
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The file and a new session say what they said, and every commit was flushed."""
        measured: dict[str, Scalar] = {"error": self._trouble} if self._trouble else {}
        try:
            reads = until(
                self._clock, lambda: self._reads() == self._value, _SETTING_LIMIT_NS, checkpoint
            )
            own = _own(self._server)
            early, _ = self._early()
            measured |= {
                "reads_after": self._reads(),
                "in_auto_conf_after": own or "nothing",
                "confirmed_early_after": early,
            }
        except SqlError as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        return Proof(proven=reads and own == self._own and early == 0, measured=measured)

    def _configure(self, statement: str) -> None:
        self._server.rows(statement)
        self._server.rows("SELECT pg_reload_conf()")

    def _reads(self) -> str:
        return str(self._server.rows("SHOW synchronous_commit")[0][0])

    def _early(self) -> tuple[int, int]:
        """Return how many of 20 commits were not flushed when confirmed, and the most bytes."""
        session = self._server.open()
        try:
            behind = []
            for _ in range(_COMMITS):
                # The commit's own record is behind this one: who has flushed it has flushed both.
                ((written,),) = session.rows(_COMMIT)
                behind.append(int(str(session.rows(_BEHIND, written)[0][0])))
        finally:
            session.close()
        return sum(1 for size in behind if size), max(behind)


def _own(server: PostgresServer) -> str | None:
    """Return what ALTER SYSTEM has set, as the server's file says."""
    rows = server.rows(_OWN)
    return str(rows[-1][0]) if rows else None
