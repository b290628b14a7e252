"""One connection of the harness to a Redis server, which shows what a client library would hide."""

import select
import socket
import time
from contextlib import suppress
from typing import Protocol, TypeAlias

from gameday.api.environment import Endpoint
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND
from gameday.model.login import Login

__all__ = [
    "ANSWER_LIMIT_NS",
    "RedisConnection",
    "RedisSocketConnection",
    "Refusal",
    "Reply",
    "dial",
]

ANSWER_LIMIT_NS = 2 * SECOND
"""How long a server may take for an answer that is not asked to take long."""

_READ_BYTES = 64 * 1024
_WELCOME = b"+OK\r\n"


class Refusal(str):
    """An error that a server answered with, such as "OOM command not allowed"."""

    __slots__ = ()


Reply: TypeAlias = "str | int | list[Reply] | None"
"""A refusal is a str, too: of its own class."""


class RedisConnection(Protocol):
    """One connection. EnvironmentRefused says that there is none, or no answer on it."""

    def send(self, *words: str) -> None:
        """Send a command whose answer is fetched later."""
        ...

    def receive(self, limit_ns: int = ANSWER_LIMIT_NS) -> Reply:
        """Return the next answer, also if that is a refusal."""
        ...

    def skim(self, size: int) -> int:
        """Take up to that many bytes of what is there, whatever they say; return how many.

        EnvironmentRefused once the server has ended the connection.
        """
        ...

    def said(self) -> bool:
        """Whether anything has come that was not fetched yet, the end of the connection too."""
        ...

    def ended(self, limit_ns: int) -> bool:
        """Tell whether the server ends the connection within that time."""
        ...

    def close(self) -> None: ...


def dial(endpoint: Endpoint, login: Login, receive_bytes: int = 0) -> RedisConnection:
    """Connect and log in; EnvironmentRefused if nobody accepts.

    A busy server answers the login late, so nothing waits for that before the first answer is
    wanted; a refused login is the answer to the first command.

    `receive_bytes` is what the kernel takes in before it is read; 0: as much as it likes.
    """
    return RedisSocketConnection(endpoint, login, receive_bytes)


class RedisSocketConnection:
    """A connection by RESP, as its second version has it."""

    def __init__(self, endpoint: Endpoint, login: Login, receive_bytes: int = 0) -> None:
        self._endpoint = endpoint
        self._logging_in = bool(login.password)
        self._buffer = bytearray()
        self._socket = socket.socket()
        try:
            if receive_bytes:
                # Before it connects: the window that is offered then does not shrink.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            self._socket.settimeout(ANSWER_LIMIT_NS / SECOND)
            self._socket.connect((endpoint.host, endpoint.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self._socket.close()
            raise self._failed(str(error)) from error
        if self._logging_in:
            self.send("AUTH", login.user, login.password)

    def send(self, *words: str) -> None:
        parts = [word.encode() for word in words]
        command = b"*%d\r\n" % len(parts)
        command += b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        try:
            self._socket.settimeout(ANSWER_LIMIT_NS / SECOND)
            self._socket.sendall(command)
        except OSError as error:
            raise self._failed(str(error)) from error

    def receive(self, limit_ns: int = ANSWER_LIMIT_NS) -> Reply:
        give_up_ns = time.monotonic_ns() + limit_ns
        if self._logging_in:
            self._logging_in = False
            welcome = self._reply(give_up_ns)
            if isinstance(welcome, Refusal):
                return welcome
        return self._reply(give_up_ns)

    def skim(self, size: int) -> int:
        taken = len(self._buffer[:size])
        del self._buffer[:size]
        if taken == size:
            return taken
        try:
            self._socket.setblocking(False)
            some = self._socket.recv(size - taken)
        except BlockingIOError:
            return taken
        except OSError as error:
            raise self._failed(str(error)) from error
        if not some and not taken:
            raise self._failed("it ended the connection")
        return taken + len(some)

    def said(self) -> bool:
        if self._logging_in and self._readable():
            with suppress(OSError):
                self._buffer += self._socket.recv(_READ_BYTES)
            if self._buffer.startswith(_WELCOME):
                del self._buffer[: len(_WELCOME)]
                self._logging_in = False
        return bool(self._buffer) or self._readable()

    def ended(self, limit_ns: int) -> bool:
        give_up_ns = time.monotonic_ns() + limit_ns
        try:
            while True:
                left_ns = give_up_ns - time.monotonic_ns()
                self._socket.settimeout(max(0.001, left_ns / SECOND))
                if not self._socket.recv(_READ_BYTES):
                    return True
                if left_ns <= 0:
                    return False
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _readable(self) -> bool:
        asked = select.poll()  # select() itself knows no file above the 1024th
        asked.register(self._socket, select.POLLIN)
        return bool(asked.poll(0))

    def _reply(self, give_up_ns: int) -> Reply:
        line = self._until_line(give_up_ns)
        kind, rest = line[:1], line[1:].decode(errors="replace")
        match kind:
            case b"+":
                return rest
            case b"-":
                return Refusal(rest)
            case b":":
                return int(rest)
            case b"$" | b"*" if rest == "-1":
                return None
            case b"$":
                return self._exactly(int(rest) + 2, give_up_ns)[:-2].decode(errors="replace")
            case b"*":
                return [self._reply(give_up_ns) for _ in range(int(rest))]
        raise self._failed(f"an answer that is none: {line[:50]!r}")

    def _until_line(self, give_up_ns: int) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill(give_up_ns)
        return self._exactly(self._buffer.index(b"\r\n") + 2, give_up_ns)[:-2]

    def _exactly(self, size: int, give_up_ns: int) -> bytes:
        while len(self._buffer) < size:
            self._fill(give_up_ns)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self, give_up_ns: int) -> None:
        left_ns = give_up_ns - time.monotonic_ns()
        if left_ns <= 0:
            raise self._failed("no answer in time")
        try:
            self._socket.settimeout(left_ns / SECOND)
            some = self._socket.recv(_READ_BYTES)
        except TimeoutError as error:
            raise self._failed("no answer in time") from error
        except OSError as error:
            raise self._failed(str(error)) from error
        if not some:
            raise self._failed("it ended the connection")
        self._buffer += some

    def _failed(self, what: str) -> EnvironmentRefused:
        return EnvironmentRefused(f"Redis at {self._endpoint}: {what}")
