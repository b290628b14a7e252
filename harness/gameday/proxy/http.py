"""As much of HTTP/1.1 as the control API needs, with a limit on everything."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

__all__ = ["HttpSession", "Request", "Response"]

_HEAD_LIMIT = 16 * 1024
_BODY_LIMIT = 1024 * 1024
_IDLE_LIMIT_S = 60.0
_DIGITS = 19
_ONCE = ("content-length", "host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call: its method, its path without the query, its headers in lower case, its body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200) -> "Response":
        """Write `value` as compact JSON."""
        body = json.dumps(value, separators=(",", ":")).encode()
        return cls(status=status, body=body, headers={"Content-Type": "application/json"})

    @classmethod
    def text(cls, text: str, status: int) -> "Response":
        """Write `text` as Go's HTTP library writes an error."""
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
        }
        return cls(status=status, body=f"{text}\n".encode(), headers=headers)


class _Malformed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HttpSession(asyncio.Protocol):
    """Answers the requests of one client in the order in which they came."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._handle = handle
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()

    def _wait(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_LIMIT_S, self._close)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        if self._answering is not None or self._transport is None:
            # A client that sends ahead without reading its answers has to wait.
            if len(self._buffer) > _HEAD_LIMIT + _BODY_LIMIT:
                self._close()
            return
        try:
            request = self._parse()
        except _Malformed as error:
            self._write(Response.text(HTTPStatus(error.status).phrase, error.status), last=True)
            return
        if request is not None:
            self._answering = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response = await self._handle(request)
        # The sockets that the call closed are closed in the loop's next turn: the answer, which
        # says that they are, comes after it.
        await asyncio.sleep(0)
        self._answering = None
        words = request.headers.get("connection", "").lower().split(",")
        last = "close" in (word.strip() for word in words)
        self._write(response, last=last, has_body=request.method != "HEAD")
        self._wait()
        self._next()

    def _write(self, response: Response, *, last: bool, has_body: bool = True) -> None:
        if self._transport is None:
            return
        headers = dict(response.headers)
        if response.status != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(len(response.body))
        if last:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._transport.write(head + response.body if has_body else head)
        if last:
            self._transport.close()

    def _parse(self) -> Request | None:
        """Take one whole request off the buffer, or nothing if it is not all there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise _Malformed(431)
            return None
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _Malformed(400)
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise _Malformed(400)
            name, value = name.strip().lower(), value.strip()
            # Whoever believes the other one would take a part of the body for a request, or the
            # call for one to another host.
            if name in _ONCE and headers.get(name, value) != value:
                raise _Malformed(400)
            headers[name] = value
        taken = self._body(headers, end + 4)
        if taken is None:
            self._continue(headers)
            return None
        body, stop = taken
        del self._buffer[:stop]
        self._continued = False
        if words[2] == "HTTP/1.0":
            headers.setdefault("connection", "close")
        path = words[1].partition("?")[0]
        if path.startswith("http://"):
            path = "/" + path.removeprefix("http://").partition("/")[2]
        return Request(method=words[0], path=path, headers=headers, body=body)

    def _continue(self, headers: dict[str, str]) -> None:
        expected = headers.get("expect", "").lower() == "100-continue"
        if expected and not self._continued and self._transport is not None:
            self._continued = True
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _body(self, headers: dict[str, str], start: int) -> tuple[bytes, int] | None:
        """Give the body and where it ends in the buffer, or None if it is not all there."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked_body(start)
        text = headers.get("content-length", "0")
        if not (text.isascii() and text.isdigit() and len(text) < _DIGITS):
            raise _Malformed(400)
        stop = start + int(text)
        if int(text) > _BODY_LIMIT:
            raise _Malformed(413)
        return (bytes(self._buffer[start:stop]), stop) if len(self._buffer) >= stop else None

    def _chunked_body(self, start: int) -> tuple[bytes, int] | None:
        body = bytearray()
        while True:
            line_end = self._buffer.find(b"\r\n", start)
            if line_end < 0:
                return None
            try:
                size = int(bytes(self._buffer[start:line_end]).partition(b";")[0], 16)
            except ValueError:
                raise _Malformed(400) from None
            if size < 0 or len(body) + size > _BODY_LIMIT:
                raise _Malformed(413)
            start = line_end + 2
            if not size:
                return self._trailers_end(body, start)
            if len(self._buffer) < start + size + 2:
                return None
            body += self._buffer[start : start + size]
            start += size + 2

    def _trailers_end(self, body: bytearray, start: int) -> tuple[bytes, int] | None:
        """Pass over the trailers, which say nothing that a call needs, to the empty line."""
        if self._buffer.startswith(b"\r\n", start):
            return bytes(body), start + 2
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._buffer) - start > _HEAD_LIMIT:
                raise _Malformed(431)
            return None
        return bytes(body), end + 4
