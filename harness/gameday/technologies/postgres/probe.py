"""The PostgreSQL probes: one row committed again and again, or a question to who takes no row."""

from collections.abc import Iterator

from gameday.load.messages import StreamPlan
from gameday.load.pipeline import Pipelined, Reply
from gameday.model.operation import Outcome
from gameday.technologies.postgres.protocol import (
    PostgresMessages,
    PostgresOpening,
    query,
    reason_of,
)

__all__ = ["READ", "WRITE", "PostgresCodec"]

_LONGEST_REASON = 100
# Not IF NOT EXISTS, which takes a lock each time. Two that make it at once are one too many, and
# the other's error does not matter.
_TABLE = (
    b"DO $$BEGIN IF to_regclass('gameday_probe') IS NULL THEN "
    b"CREATE TABLE gameday_probe (stream text PRIMARY KEY, value bigint NOT NULL); END IF; END$$"
)


class PostgresCodec:
    """Simple queries, each a transaction of its own, are answered in their order."""

    def __init__(self, plan: StreamPlan) -> None:
        self._reads = plan.client == "postgres-read"
        made = b"" if self._reads else _TABLE
        self.opening = PostgresOpening(plan.login, name="gameday-probe", then=made)
        self._messages = PostgresMessages()
        self._stream = plan.name.replace("'", "''").encode()
        self._heard = 0

    def write(self, number: int, value: int) -> bytes:
        if self._reads:
            return query(b"SELECT %d" % value)
        return query(
            b"INSERT INTO gameday_probe VALUES ('%b', %d) "
            b"ON CONFLICT (stream) DO UPDATE SET value = excluded.value" % (self._stream, value)
        )

    def hear(self, data: bytes) -> Iterator[Reply]:
        for kind, body in self._messages.feed(data):
            if kind in (b"C", b"E"):
                self._heard += 1
                yield Reply(self._heard, *_judge(kind, body))


def _judge(kind: bytes, body: bytes) -> tuple[Outcome, str]:
    """Take an error as the end of a transaction; what is worse may have met it after its commit."""
    if kind == b"C":
        return Outcome.OK, ""
    severity, reason = reason_of(body)
    outcome = Outcome.FAILED if severity == "ERROR" else Outcome.UNKNOWN
    return outcome, reason[:_LONGEST_REASON]


WRITE = Pipelined(codec=PostgresCodec, answer_bytes=22)
"""Commits the value as the row of its stream."""
READ = Pipelined(codec=PostgresCodec)
"""Asks for the value, and reads no table."""
