"""The Redis probes, in raw RESP: SET, or EXISTS where nothing may be written."""

from collections.abc import Iterator

from gameday.api.opening import Login
from gameday.load.pipeline import Pipelined, Reply
from gameday.model.operation import Outcome
from gameday.technologies.redis.resp import RedisOpening, command

__all__ = ["READ", "WRITE", "RedisCodec"]

_LONGEST_REASON = 100
_LARGEST_REPLY = 1 << 16


class RedisCodec:
    """Commands are answered in their order."""

    def __init__(self, stream: str, login: Login | None = None, *, reads: bool = False) -> None:
        key = f"gameday:probe:{stream}".encode()
        self.opening = RedisOpening(login) if login and login.password else None
        self._read = command(b"EXISTS", key) if reads else b""
        self._head = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n" % (len(key), key)
        self._data = b""
        self._heard = 0

    def write(self, number: int, value: int) -> bytes:
        if self._read:
            return self._read
        text = b"%d" % value
        return b"%b$%d\r\n%b\r\n" % (self._head, len(text), text)

    def hear(self, data: bytes) -> Iterator[Reply]:
        *replies, self._data = (self._data + data).split(b"\r\n")
        for reply in replies:
            self._heard += 1
            yield Reply(self._heard, *_judge(reply, b":" if self._read else b"+OK"))
        if len(self._data) > _LARGEST_REPLY:
            raise ValueError("a reply without an end")


def _judge(reply: bytes, good: bytes) -> tuple[Outcome, str]:
    if reply.startswith(good):
        return Outcome.OK, ""
    if reply.startswith(b"-"):
        return Outcome.FAILED, reply[1 : _LONGEST_REASON + 1].decode(errors="replace")
    return Outcome.UNKNOWN, "not the answer to what was asked"


WRITE = Pipelined(codec=lambda plan: RedisCodec(plan.name, plan.login), answer_bytes=5)
"""Sends `SET gameday:probe:<stream> <value>`."""
READ = Pipelined(codec=lambda plan: RedisCodec(plan.name, plan.login, reads=True), answer_bytes=4)
"""Sends EXISTS of that key."""
