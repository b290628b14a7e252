"""How PostgreSQL is spoken to over a connection that is measured."""

from gameday.api.edge import BulkDialect
from gameday.api.opening import Login, Opening
from gameday.technologies.postgres import protocol

__all__ = ["PostgresDialect"]


class PostgresDialect(BulkDialect):
    """Simple queries by the user of the services; none of them writes."""

    greeting = protocol.query(b"SELECT 1")

    def __init__(self, login: Login) -> None:
        self._login = login

    def opening(self) -> Opening:
        return protocol.PostgresOpening(self._login, name="gameday-line")

    def download(self, size: int) -> bytes:
        return protocol.query(b"SELECT repeat('x', %d)" % size) + protocol.TERMINATE

    def upload(self, size: int) -> bytes:
        return protocol.query(b"SELECT '%s' IS NULL" % (b"x" * size)) + protocol.TERMINATE
