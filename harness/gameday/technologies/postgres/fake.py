"""A PostgreSQL in memory that knows the statements of the faults, each of its defects a field."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL

from gameday.api.environment import NotReadyError
from gameday.model.clock import MILLISECOND
from gameday.model.result import Window
from gameday.technologies.postgres.server import OURS, Row, SqlError
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryService

__all__ = ["MemoryPostgres", "MemorySession", "PostgresHouse"]

_PIDS = itertools.count(1000)


@dataclass(eq=False, slots=True, kw_only=True)
class MemorySession:
    """A session of a client or of a fault."""

    server: "MemoryPostgres"
    application: str
    user: str = "gameday"
    lock_limit_ms: int = 0
    pid: int = field(default_factory=lambda: next(_PIDS))
    ended_by: str = ""
    """The SQLSTATE that it was told at its end."""

    def rows(self, statement: str, *values: object, limit_s: float = 5.0) -> list[Row]:
        if self not in self.server.sessions:
            raise SqlError("the connection is closed", self.ended_by)
        return self.server.answer(self, statement, values)

    def close(self) -> None:
        if self not in self.server.sessions or not self.server.lets_go:
            return
        self.server.sessions.remove(self)
        if self.server.locked_by is self:
            self.server.locked_by = None


@dataclass(eq=False, slots=True, kw_only=True)
class MemoryPostgres:
    """A server, or the replica of another one."""

    primary: "MemoryPostgres | None" = None
    clock: ManualClock = field(default_factory=ManualClock)
    answers: bool = True
    sessions: list[MemorySession] = field(default_factory=list)
    terminates: bool = True
    tells_why: bool = True
    slots: int = 12
    refuses: bool = True
    """Whether it refuses who comes when all slots are taken."""
    lets_go: bool = True
    """Whether a session ends when its client does."""
    table: str = "orders"
    locks: bool = True
    waits: bool = True
    """Whether a statement waits for a lock."""
    locked_by: MemorySession | None = None
    promotes: bool = True
    timeline: int = 1
    steps: bool = True
    """Whether a promotion begins a timeline."""
    standby: bool = False
    pauses: bool = True
    resumes: bool = True
    paused: bool = False
    receives: bool = True
    written: int = 100
    received: int = 100
    replayed: int = 100
    setting: str = "on"
    source: str = "default"
    own: str | None = None
    """What ALTER SYSTEM has set."""
    reloads: bool = True
    restores: bool = True
    early: bool = True
    """Whether an asynchronous commit is confirmed before it is flushed."""

    def __post_init__(self) -> None:
        self.standby = self.primary is not None

    def open(self, what: str = OURS, *, lock_limit_ms: int = 0) -> MemorySession:
        if self.greets_with():
            raise SqlError("sorry, too many clients already")
        session = MemorySession(server=self, application=what, lock_limit_ms=lock_limit_ms)
        self.sessions.append(session)
        return session

    def rows(
        self, statement: str, *values: object, limit_s: float = 5.0, lock_limit_ms: int = 0
    ) -> list[Row]:
        session = self.open(lock_limit_ms=lock_limit_ms)
        try:
            return session.rows(statement, *values)
        finally:
            if session in self.sessions:
                self.sessions.remove(session)

    def greets_with(self) -> str:
        if not self.answers:
            raise SqlError("connection refused")
        return "53300" if self.refuses and len(self.sessions) >= self.slots else ""

    def answer(self, asking: MemorySession, statement: str, values: Row) -> list[Row]:
        """Return what a statement of a fault gives, by the word that tells it from the others."""
        words: dict[str, Callable[[], list[Row]]] = {
            "pg_terminate_backend": lambda: self._terminate(values[0]),
            "count(*) FILTER (WHERE application_name": lambda: self._count(values[0]),
            "WHERE pid = %s AND application_name": lambda: self._held(values),
            "pid <> pg_backend_pid()": lambda: self._clients(asking),
            "current_setting('max_connections')": lambda: [(str(self.slots),)],
            "to_regclass": lambda: [(7, self.table) if values[0] == self.table else (None, None)],
            "FROM pg_locks": lambda: [(1 if self._holds(values[0]) else 0, 0)],
            "LOCK TABLE": lambda: self._lock(asking),
            f"FROM {self.table}": lambda: self._select(asking),
            "pg_promote": self._promote,
            "received_tli": lambda: [(self.standby, self.timeline)],
            "pg_walfile_name": lambda: [(self.timeline,)],
            "pg_wal_replay_pause()": lambda: self._pause(self.pauses),
            "pg_wal_replay_resume()": lambda: self._pause(self.paused and not self.resumes),
            "pg_last_wal_receive_lsn": self._positions,
            "repeat('x', 1000)": self._write,
            "pg_logical_emit_message(true, 'gameday', '')": lambda: [("0/1",)],
            "pg_current_wal_flush_lsn": lambda: [(9 if self._is_early() else 0,)],
            "FROM pg_settings": lambda: [(self.setting, self.source)],
            "FROM pg_file_settings": lambda: [] if self.own is None else [(self.own,)],
            "ALTER SYSTEM": lambda: self._alter(statement),
            "pg_reload_conf": self._reload,
            "SHOW": lambda: [(self.setting,)],
        }
        plain = ("BEGIN", "SELECT 1")
        for word, act in words.items():
            if word in statement:
                return act()
        assert statement in plain, f"unknown to the server in memory: {statement}"
        return [(1,)]

    def _clients(self, asking: MemorySession) -> list[Row]:
        others = (session for session in self.sessions if session is not asking)
        return [(s.pid, f"start of {s.pid}", s.application, s.user) for s in others]

    def _terminate(self, pids: object) -> list[Row]:
        assert isinstance(pids, list)
        for session in list(self.sessions) if self.terminates else ():
            if session.pid in pids:
                session.ended_by = "57P01" if self.tells_why else ""
                self.sessions.remove(session)
        return []

    def _count(self, name: object) -> list[Row]:
        named = [session for session in self.sessions if session.application == name]
        return [(self.slots, len(self.sessions), len(named))]

    def _held(self, values: Row) -> list[Row]:
        return [(sum(1 for s in self.sessions if (s.pid, s.application) == values),)]

    def _holds(self, pid: object) -> bool:
        return self.locked_by is not None and self.locked_by.pid == pid

    def _lock(self, asking: MemorySession) -> list[Row]:
        if not self.locks:
            raise SqlError("canceling statement due to lock timeout", "55P03")
        self.locked_by = asking
        return []

    def _select(self, asking: MemorySession) -> list[Row]:
        if self.locked_by not in (None, asking) and self.waits:
            assert asking.lock_limit_ms, "this would wait for ever"
            self.clock.sleep_ns(asking.lock_limit_ms * MILLISECOND)
            raise SqlError("canceling statement due to lock timeout", "55P03")
        return [(1,)]

    def _promote(self) -> list[Row]:
        if self.promotes:
            self.standby = False
            self.timeline += 1 if self.steps else 0
        return [(self.promotes,)]

    def _pause(self, paused: bool) -> list[Row]:
        self.paused = paused
        return []

    def _positions(self) -> list[Row]:
        assert self.primary is not None
        if self.receives:
            self.received = self.primary.written
        if not self.paused:
            self.replayed = self.received
        return [(self.received, self.replayed, self.paused)]

    def _write(self) -> list[Row]:
        self.written += 1000
        return [(self.written,)]

    def _is_early(self) -> bool:
        return self.setting == "off" and self.early

    def _alter(self, statement: str) -> list[Row]:
        _, _, value = statement.partition(" = ")
        if value == "'off'" or self.restores:
            self.own = value.strip("'") or None
        return []

    def _reload(self) -> list[Row]:
        if self.reloads:
            self.setting = self.own or "on"
        return []


@dataclass(slots=True, kw_only=True)
class PostgresHouse(MemoryService):
    """The service of a server in memory; a replica that lost its data copies its primary."""

    server: MemoryPostgres
    copies: bool = True

    def check(self) -> str:
        if not self.server.answers:
            raise NotReadyError("no answer")
        return MemoryService.check(self)

    def remove(self, *, keep_data: bool) -> Window:
        window = MemoryService.remove(self, keep_data=keep_data)
        if self.server.primary is not None and not keep_data and self.copies:
            self.server.standby = True
            self.server.timeline = self.server.primary.timeline
        assert self.process_state().exit_code == 128 + SIGKILL
        return window
