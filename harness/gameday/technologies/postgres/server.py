"""A PostgreSQL as its faults speak with it: on its direct address, as the target's own user."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING

from gameday.api.environment import Endpoint, Environment
from gameday.errors import EnvironmentRefused
from gameday.technologies.postgres import libpq
from gameday.technologies.postgres.login import PostgresLogin, postgres_login

if TYPE_CHECKING:
    import psycopg

__all__ = ["LOOK_LIMIT_S", "OURS", "PostgresServer", "Row", "SqlError", "SqlSession", "server_of"]

OURS = "gameday-fault"
"""How a fault's own sessions call themselves, so that no other fault takes them for clients."""

LOOK_LIMIT_S = 1.0
"""How long a server may take to tell of a fault right before its undoing."""

_CONNECT_LIMIT_S = 5
_STATEMENT_LIMIT_S = 5.0
_SERVER_LIMIT_MS = 30_000
"""After which the server itself ends a statement whose client was cut off."""
_PROTOCOL_3 = 196608
_ERROR_BYTES = 4096

Row = tuple[object, ...]


class SqlError(EnvironmentRefused):
    """A login or a statement failed, with what the server said or what became of it."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(" ".join(text.split()))
        self.code = code
        """The SQLSTATE, empty where the server gave none."""


class SqlSession:
    """One open session, of which every statement ends in time, also on a server that is frozen."""

    def __init__(self, connection: "psycopg.Connection[Row]") -> None:
        self._connection = connection

    @property
    def pid(self) -> int:
        """The server's process for this session."""
        return self._connection.info.backend_pid

    def rows(
        self, statement: str, *values: object, limit_s: float = _STATEMENT_LIMIT_S
    ) -> list[Row]:
        """Return what a statement gives; SqlError if it fails or takes longer than `limit_s`."""
        import psycopg

        try:
            with self._bounded(limit_s):
                cursor = self._connection.execute(statement.encode(), values or None)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise SqlError(str(error), error.sqlstate or "") from error

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _bounded(self, limit_s: float) -> Iterator[None]:
        """End the connection of a server that is silent: a frozen one heeds no limit of its own."""
        number = self._connection.fileno() if not self._connection.closed else -1
        if number < 0:
            yield
            return
        with socket.socket(fileno=socket.dup(number)) as line:

            def cut() -> None:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

            timer = Timer(limit_s, cut)
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                timer.join()


class PostgresServer:
    """A server to log in to; each call is bounded in time."""

    def __init__(self, endpoint: Endpoint, login: PostgresLogin) -> None:
        self._endpoint = endpoint
        self._login = login

    def open(self, what: str = OURS, *, lock_limit_ms: int = 0) -> SqlSession:
        """Log in under the name of `what`; SqlError if that is refused or takes too long."""
        import psycopg  # 250 ms, so not before a fault is in

        try:
            return SqlSession(
                libpq.connect(
                    host=self._endpoint.host,
                    port=self._endpoint.port,
                    connect_timeout=_CONNECT_LIMIT_S,
                    application_name=what,
                    options=f"-c statement_timeout={_SERVER_LIMIT_MS} "
                    f"-c lock_timeout={lock_limit_ms} -c idle_in_transaction_session_timeout=0",
                    **self._login,
                )
            )
        except psycopg.Error as error:
            raise SqlError(str(error), error.sqlstate or "") from error

    def rows(
        self,
        statement: str,
        *values: object,
        limit_s: float = _STATEMENT_LIMIT_S,
        lock_limit_ms: int = 0,
    ) -> list[Row]:
        """Return what a statement gives in a session of its own."""
        session = self.open(lock_limit_ms=lock_limit_ms)
        try:
            return session.rows(statement, *values, limit_s=limit_s)
        finally:
            session.close()

    def greets_with(self) -> str:
        """Return what a new client meets: a refusal's SQLSTATE, or "" for being asked who it is.

        By hand, for libpq keeps the code of a refused login to itself. A server without a slot
        refuses before it asks.
        """
        words = f"user\0{self._login['user']}\0database\0{self._login['dbname']}\0\0".encode()
        hello = struct.pack("!ii", len(words) + 8, _PROTOCOL_3) + words
        address = (self._endpoint.host, self._endpoint.port)
        try:
            with socket.create_connection(address, _CONNECT_LIMIT_S) as line:
                line.sendall(hello)
                heard = line.recv(_ERROR_BYTES)
                while heard[:1] == b"E" and not heard.endswith(b"\0\0"):
                    more = line.recv(_ERROR_BYTES)
                    if not more:
                        break
                    heard += more
        except OSError as error:
            raise SqlError(f"{self._endpoint}: {error}") from error
        if heard[:1] == b"R":
            return ""
        for field in heard[5:].split(b"\0"):
            if field[:1] == b"C":
                return field[1:].decode("ascii", "replace")
        raise SqlError(f"{self._endpoint}: answers {heard[:20]!r} to a login")


def server_of(environment: Environment, name: str) -> PostgresServer:
    """Return a service of the target as a server to log in to."""
    service = environment.service(name)
    return PostgresServer(service.upstream, postgres_login(service.spec))
