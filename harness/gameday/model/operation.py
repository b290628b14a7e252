"""One operation of the workload and the fixed row that records it."""

import struct
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["ROW", "ROW_FIELDS", "Operation", "Outcome", "StreamInfo"]

ROW = struct.Struct("<qqqIHBB")
"""due_ns, sent_ns, done_ns, value, error, stream, outcome: 32 bytes, little-endian."""

ROW_FIELDS = (
    ("due_ns", "<i8"),
    ("sent_ns", "<i8"),
    ("done_ns", "<i8"),
    ("value", "<u4"),
    ("error", "<u2"),
    ("stream", "u1"),
    ("outcome", "u1"),
)
"""The same row as a numpy dtype would name it."""


class Outcome(IntEnum):
    """What became of an operation. A row that was written and never finished stays PENDING."""

    PENDING = 0
    """Not answered when the history ended: it may have happened."""
    OK = 1
    FAILED = 2
    """Certainly did not happen: refused, never sent, or rejected by the service."""
    UNKNOWN = 3
    """It may have happened: a timeout or a reset after the request was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request with its three times; `done_ns` is 0 while there was no answer."""

    stream: int
    value: int
    due_ns: int
    sent_ns: int
    """When the first byte was handed to the socket; 0 when it could not be sent."""
    done_ns: int
    outcome: Outcome
    error: str = ""

    @property
    def latency_ns(self) -> int:
        """The response latency: from when it was due, because the queue counts."""
        return self.done_ns - self.due_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of operations of a history: `history.json` lists them."""

    index: int
    name: str
    """"publish", "probe-front" or "probe-direct", for instance."""
    rate_per_s: float
    deadline_ns: int
    """An operation answered later than this after it was due does not count as served."""
