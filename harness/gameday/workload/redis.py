"""The Redis write probe: SET, in raw RESP."""

from collections.abc import Iterator

from gameday.model.operation import Outcome
from gameday.workload.client import Log
from gameday.workload.messages import StreamPlan
from gameday.workload.pipeline import PipelineClient, Reply

__all__ = ["RedisSpeech", "redis_client"]

_LONGEST_REASON = 100
_LARGEST_REPLY = 1 << 16


def redis_client(plan: StreamPlan, log: Log) -> PipelineClient:
    """Return a client that sends `SET gameday:probe:<stream> <value>`."""
    return PipelineClient(plan, log, lambda: RedisSpeech(plan.name))


class RedisSpeech:
    """Commands are answered in their order."""

    opening = None

    def __init__(self, stream: str) -> None:
        key = f"gameday:probe:{stream}".encode()
        self._head = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n" % (len(key), key)
        self._data = b""
        self._heard = 0

    def write(self, number: int, value: int) -> bytes:
        text = b"%d" % value
        return b"%b$%d\r\n%b\r\n" % (self._head, len(text), text)

    def hear(self, data: bytes) -> Iterator[Reply]:
        *replies, self._data = (self._data + data).split(b"\r\n")
        for reply in replies:
            self._heard += 1
            yield Reply(self._heard, *_judge(reply))
        if len(self._data) > _LARGEST_REPLY:
            raise ValueError("a reply without an end")


def _judge(reply: bytes) -> tuple[Outcome, str]:
    if reply == b"+OK":
        return Outcome.OK, ""
    if reply.startswith(b"-"):
        return Outcome.FAILED, reply[1 : _LONGEST_REASON + 1].decode(errors="replace")
    return Outcome.UNKNOWN, "not the answer to a SET"
