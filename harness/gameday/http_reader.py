"""HTTP reads of the harness's own: one deadline for the whole exchange, and a cap in bytes."""

import http.client
import io
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from gameday.errors import GamedayError
from gameday.model.clock import SECOND
from gameday.model.units import format_duration

__all__ = ["BoundedSocket", "HttpReader", "HttpReply", "NoReply"]

_HEAD_BYTES = 64 * 1024
"""What a reply may have before its body, beside the cap of the body."""
_MOST_BYTES = 8_000_000


class NoReply(GamedayError):
    """The service gave no whole reply within the deadline and the cap; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """A whole reply."""

    status: int
    body: bytes

    def json_object(self) -> dict[str, object]:
        """Return the JSON object that the body is; NoReply when it is none."""
        try:
            told = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise NoReply(f"it answered no JSON: {type(error).__name__}: {error}") from error
        if not isinstance(told, dict):
            raise NoReply("it answered no JSON object")
        return told


class HttpReader:
    """Reads from one service of this host, over a connection that is kept between the reads.

    Nothing is asked by way of a proxy, whatever the environment names; no redirect is followed,
    and nothing is unpacked. It belongs to one thread.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def get(self, path: str, *, limit_ns: int, most_bytes: int = _MOST_BYTES) -> HttpReply:
        """Return the reply to GET `path`, whatever its status.

        From the connect to the last byte it may take `limit_ns`, and its body may have
        `most_bytes`. Raises NoReply.
        """
        over_ns = time.monotonic_ns() + limit_ns
        kept = self._socket is not None
        try:
            try:
                return self._exchange(path, over_ns, most_bytes)
            except (http.client.RemoteDisconnected, ConnectionError):
                if not kept:
                    raise
                # It had ended the kept connection before this was asked.
                self.close()
                return self._exchange(path, over_ns, most_bytes)
        except NoReply:
            self.close()
            raise
        except TimeoutError as error:
            self.close()
            raise NoReply(f"no whole answer within {format_duration(limit_ns)}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoReply(str(error) or type(error).__name__) from error
        except BaseException:
            # What is left of the answer would be taken for the next one.
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next read makes another one."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def _exchange(self, path: str, over_ns: int, most_bytes: int) -> HttpReply:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_left_s(over_ns))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(_left_s(over_ns))
        host, port = self._address
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n"
            "Accept-Encoding: identity\r\nUser-Agent: gameday\r\n\r\n".encode("ascii")
        )
        bounded = BoundedSocket(self._socket, over_ns, _HEAD_BYTES + most_bytes)
        with bounded.response("GET") as response:
            response.begin()
            packed = response.getheader("Content-Encoding", "identity")
            if packed.lower() != "identity":
                raise NoReply(f"the answer is packed by {packed[:50]}, which was not asked for")
            body = response.read(most_bytes + 1)
            if len(body) > most_bytes:
                raise NoReply(f"the answer has more than {most_bytes / 1e6:g} MB")
            if response.length:  # it said that there would be more
                raise http.client.IncompleteRead(body, response.length)
            if response.will_close or not response.isclosed():
                self.close()
        return HttpReply(status=response.status, body=body)


class _TooLong(http.client.HTTPException):
    """More came than is read."""


class BoundedSocket(io.RawIOBase):
    """What arrives at a socket, as a file that ends with an error at a deadline or a cap.

    TimeoutError and http.client.HTTPException are what it raises.
    """

    def __init__(self, line: socket.socket, over_ns: int, most_bytes: int) -> None:
        self._line = line
        self._over_ns = over_ns
        self._most_bytes = most_bytes
        self._read_bytes = 0

    def response(self, method: str) -> http.client.HTTPResponse:
        """Return the response that comes now, of which nothing has been read yet."""
        # All that http.client asks of a socket is to be made a file.
        return http.client.HTTPResponse(cast("socket.socket", self), method=method)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._line.settimeout(_left_s(self._over_ns))
        read = self._line.recv_into(buffer)
        self._read_bytes += read
        if self._read_bytes > self._most_bytes:
            raise _TooLong(f"the answer has more than {self._most_bytes} bytes")
        return read


def _left_s(over_ns: int) -> float:
    left_ns = over_ns - time.monotonic_ns()
    if left_ns <= 0:
        raise TimeoutError
    return left_ns / SECOND
