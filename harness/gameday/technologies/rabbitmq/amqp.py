"""AMQP 0-9-1 as far as a login, a channel and confirmed messages need it."""

import struct
from collections.abc import Iterator, Sequence

from gameday.api.opening import Login, TurnedAway

__all__ = [
    "BODY",
    "CLOSE",
    "CLOSE_OK",
    "CONFIRM_SELECT",
    "FRAME_END",
    "AmqpOpening",
    "Frames",
    "declare",
    "long_long",
    "method",
    "method_of",
    "publish",
    "reason_of",
    "short",
]

_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD, _CONTENT, BODY = 1, 2, 3
FRAME_END = b"\xce"
_LONGEST = 1 << 24
_FRAME_BYTES = 4096
"""What every broker has to take; a larger message comes in several frames."""
_READ_BYTES = 131_072
"""What is read at most, which is what a broker sends unless it is told otherwise."""


def short(text: bytes) -> bytes:
    """Return a short string."""
    return struct.pack(">B", len(text)) + text


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def long_long(data: bytes) -> int:
    """Return the 64 bits that a delivery is numbered by."""
    (number,) = struct.unpack_from(">Q", data)
    return int(number)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + FRAME_END


def method(number: tuple[int, int], arguments: bytes = b"", *, channel: int = 1) -> bytes:
    """Return the frame of one method."""
    return _frame(_METHOD, channel, struct.pack(">HH", *number) + arguments)


CLOSE = method((10, 50), struct.pack(">H", 200) + short(b"") + struct.pack(">HH", 0, 0), channel=0)
"""Goodbye: the broker answers, and waits for the client to end the connection."""

CLOSE_OK = method((10, 51), channel=0)

CONFIRM_SELECT = method((85, 10), b"\0")


def declare(
    queue: bytes, *, durable: bool = False, exclusive: bool = False, most: int = 0
) -> bytes:
    """Return the frame that makes a queue; one that keeps the newest `most` messages, or all."""
    flags = 2 * durable | 4 * exclusive
    table = short(b"x-max-length") + b"I" + struct.pack(">i", most) if most else b""
    return method((50, 10), struct.pack(">H", 0) + short(queue) + bytes([flags]) + _long(table))


def publish(key: bytes, body: bytes, *, mandatory: bool = False, persistent: bool = False) -> bytes:
    """Return the frames of one message to the queue of that name."""
    head = struct.pack(">H", 0) + short(b"") + short(key) + bytes([mandatory])
    properties = struct.pack(">HB", 1 << 12, 2) if persistent else struct.pack(">H", 0)
    content = struct.pack(">HHQ", 60, 0, len(body)) + properties
    most = _FRAME_BYTES - 8
    parts = (body[start : start + most] for start in range(0, len(body), most))
    return b"".join(
        (
            method((60, 40), head),
            _frame(_CONTENT, 1, content),
            *(_frame(BODY, 1, part) for part in parts),
        )
    )


class Frames:
    """The whole frames in what came so far."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the kind and the payload of each frame that is whole now; ValueError if none is."""
        self._data += data
        while len(self._data) >= 7:
            kind, _, length = struct.unpack_from(">BHI", self._data)
            if kind not in (_METHOD, _CONTENT, BODY, 8) or length > _LONGEST:
                raise ValueError(f"a frame of kind {kind} and {length} bytes")
            if len(self._data) < length + 8:
                return
            payload = self._data[7 : length + 7]
            self._data = self._data[length + 8 :]
            yield kind, payload


def method_of(kind: int, payload: bytes) -> tuple[int, int] | None:
    """Return the two numbers of a method; None: the frame is none."""
    return struct.unpack_from(">HH", payload) if kind == _METHOD else None


def reason_of(payload: bytes) -> str:
    """Return the code and the text of a close or a return."""
    code, length = struct.unpack_from(">HB", payload, 4)
    return f"{code} {payload[7 : 7 + length].decode(errors='replace')}"


class AmqpOpening:
    """Logs in with a password, and opens a channel.

    `then` are methods that follow, each of which the broker confirms.
    """

    def __init__(self, login: Login, *, then: Sequence[bytes] = ()) -> None:
        self.done = False
        self._login = login
        self._then = then
        self._frames = Frames()
        self._confirmed = 0

    def start(self) -> bytes:
        return _HEADER

    def hear(self, data: bytes) -> bytes:
        try:
            return b"".join(self._answer(*frame) for frame in self._frames.feed(data))
        except (ValueError, struct.error) as error:
            raise TurnedAway(f"not a login of RabbitMQ: {error}") from error

    def _answer(self, kind: int, payload: bytes) -> bytes:
        login = self._login
        match method_of(kind, payload):
            case None:
                return b""
            case (10, 10):
                # Without this word a refused password is an end without a reason.
                told = short(b"capabilities") + b"F"
                told += _long(short(b"authentication_failure_close") + b"t\x01")
                secret = f"\0{login.user}\0{login.password}".encode()
                words = _long(told) + short(b"PLAIN") + _long(secret) + short(b"en_US")
                return method((10, 11), words, channel=0)
            case (10, 30):
                channels, frame_bytes, _ = struct.unpack_from(">HIH", payload, 4)
                # No heartbeats: a connection that is held says nothing by itself.
                granted = struct.pack(
                    ">HIH", channels, min(frame_bytes or _READ_BYTES, _READ_BYTES), 0
                )
                words = short(login.database.encode()) + short(b"") + b"\0"
                return method((10, 31), granted, channel=0) + method((10, 40), words, channel=0)
            case (10, 41):
                return method((20, 10), short(b"")) + b"".join(self._then)
            case (10, 50) | (20, 40):
                raise TurnedAway(reason_of(payload))
            case _:
                self._confirmed += 1
                self.done = self._confirmed > len(self._then)
                return b""
