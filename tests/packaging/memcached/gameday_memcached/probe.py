"""The probe: a set of one key again and again, each answered in its turn."""

from collections.abc import Iterator

from gameday import Outcome, Pipelined, Reply, StreamPlan

__all__ = ["SET"]

_STORED = b"STORED"


class _Sets:
    """One connection's side of the protocol."""

    opening = None

    def __init__(self, plan: StreamPlan) -> None:
        self._key = f"gameday:probe:{plan.name}".encode()
        self._data = b""
        self._heard = 0

    def write(self, number: int, value: int) -> bytes:
        text = b"%d" % value
        return b"set %b 0 0 %d\r\n%b\r\n" % (self._key, len(text), text)

    def hear(self, data: bytes) -> Iterator[Reply]:
        *lines, self._data = (self._data + data).split(b"\r\n")
        for line in lines:
            self._heard += 1
            stored = line == _STORED
            outcome = Outcome.OK if stored else Outcome.FAILED
            yield Reply(self._heard, outcome, "" if stored else line[:100].decode(errors="replace"))


SET = Pipelined(codec=_Sets, answer_bytes=len(_STORED) + 2)
