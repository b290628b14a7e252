"""HTTP/1.x messages in a stream of bytes, told apart and left exactly as they came."""

import re
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "REQUEST",
    "RESPONSE",
    "BodySize",
    "Head",
    "MessageEnd",
    "Messages",
    "NotHttp",
    "Unsized",
]

REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP/1\.\d")
RESPONSE = re.compile(rb"HTTP/1\.\d \d{3}( .*)?")

_HEAD_LIMIT = 64 * 1024
_LINE_LIMIT = 8 * 1024
_HEAD_END = re.compile(rb"\n\r?\n")


class NotHttp(Exception):
    """The bytes are no HTTP/1.x message. None of them was taken off the stream."""


class Unsized(Enum):
    """How a body ends whose size is not known before."""

    CHUNKED = "with its last chunk"
    TO_END = "with the connection"


BodySize = int | Unsized


class MessageEnd(Enum):
    """One message is complete."""

    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The start line and the headers: in words, and as they came."""

    raw: bytes
    words: tuple[str, str, str]
    headers: dict[str, str]

    def has(self, name: str, token: str) -> bool:
        """Tell whether the header `name` lists `token`."""
        listed = self.headers.get(name, "").lower().split(",")
        return token in (item.strip() for item in listed)

    def body_size(self, otherwise: BodySize) -> BodySize:
        """Give what the headers say of the body's size, or `otherwise` where they say nothing.

        What they say makes no sense: then only the connection's end is the end.
        """
        codings = self.headers.get("transfer-encoding")
        if codings is not None:
            last = codings.lower().split(",")[-1].strip()
            return Unsized.CHUNKED if last == "chunked" else Unsized.TO_END
        lengths = {text.strip() for text in self.headers.get("content-length", "").split(",")}
        if lengths == {""}:
            return otherwise
        text = lengths.pop()
        if lengths or not (text.isascii() and text.isdigit()):
            return Unsized.TO_END
        return int(text)


class Messages:
    """Takes the bytes of one direction, and gives back each part of each message in its turn.

    The parts joined are the bytes. After a head the reader has to be told the body's size, which a
    response's head alone does not say.
    """

    def __init__(self, start_line: re.Pattern[bytes]) -> None:
        self._start_line = start_line
        self._buffer = bytearray()
        self._in_head = True
        self._size: BodySize = 0
        self._chunk_rest = 0
        self._in_trailer = False

    @property
    def waiting_bytes(self) -> int:
        """How much was fed and not given back yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Head | bytes | MessageEnd | None:
        """Give the next part, or None until more bytes come; NotHttp once it cannot be HTTP."""
        if self._in_head:
            return self._head()
        size = self._size
        if size is Unsized.CHUNKED:
            return self._chunked()
        if size is Unsized.TO_END:
            return self._take(len(self._buffer)) if self._buffer else None
        if size == 0:
            self._in_head = True
            return MessageEnd.END
        if not self._buffer:
            return None
        taken = self._take(size)
        self._size = size - len(taken)
        return taken

    def body_is(self, size: BodySize) -> None:
        """Take it that the message whose head was just given has a body of `size`."""
        self._in_head = False
        self._in_trailer = False
        self._chunk_rest = 0
        self._size = size

    def rest(self) -> bytes:
        """Give back whatever is left, as it came."""
        return self._take(len(self._buffer))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _head(self) -> Head | None:
        buffer = self._buffer
        start = 0
        while start < len(buffer) and buffer[start] in b"\r\n":
            start += 1
        line_end = buffer.find(b"\n", start)
        if line_end < 0:
            # A binary protocol need not ever send a line end: nobody must wait for one.
            seen = buffer[start:]
            if seen and (len(seen) > _LINE_LIMIT or not seen[:1].isalpha()):
                raise NotHttp
            return None
        start_line = bytes(buffer[start:line_end]).removesuffix(b"\r")
        if self._start_line.fullmatch(start_line) is None:
            raise NotHttp
        found = _HEAD_END.search(buffer, line_end)
        if found is None:
            if len(buffer) > _HEAD_LIMIT:
                raise NotHttp
            return None
        headers = _headers(bytes(buffer[line_end + 1 : found.start()]))
        first, _, rest = start_line.decode("latin-1").partition(" ")
        second, _, third = rest.partition(" ")
        raw = self._take(found.end())
        return Head(raw=raw, words=(first, second, third), headers=headers)

    def _chunked(self) -> bytes | MessageEnd | None:
        if self._chunk_rest:
            if not self._buffer:
                return None
            taken = self._take(self._chunk_rest)
            self._chunk_rest -= len(taken)
            return taken
        line_end = self._buffer.find(b"\n")
        if line_end < 0:
            if len(self._buffer) > _LINE_LIMIT:
                raise NotHttp
            return None
        text = bytes(self._buffer[:line_end]).strip()
        if self._in_trailer:
            if not text:
                self._size = 0
        else:
            size = _chunk_size(text)
            # The line end behind the data belongs to the chunk.
            self._chunk_rest = size + 2 if size else 0
            self._in_trailer = not size
        return self._take(line_end + 1)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise NotHttp
    return int(digits, 16)


def _headers(raw: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in raw.decode("latin-1").split("\n"):
        if line[:1] in (" ", "\t") and name:
            headers[name] += f" {line.strip()}"
            continue
        text, colon, value = line.partition(":")
        if not colon:
            if line.strip():
                raise NotHttp
            continue
        name = text.strip().lower()
        known = headers.get(name)
        headers[name] = value.strip() if known is None else f"{known}, {value.strip()}"
    return headers
