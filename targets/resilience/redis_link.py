"""One Redis connection that many callers share, and that always knows which commands were sent."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self, TypeAlias

from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

__all__ = ["Link", "LinkError", "Refused", "Reply", "Unavailable", "Unconfirmed"]

Reply: TypeAlias = "bytes | int | list[Reply] | None"


class LinkError(Exception):
    """A command did not get its reply."""


class Unavailable(LinkError):
    """The command was certainly not carried out."""


class Refused(Unavailable):
    """Redis answered with an error instead of carrying the command out."""


class Unconfirmed(LinkError):
    """The command was sent and its reply never came: it may have been carried out."""


_Answer: TypeAlias = "Reply | LinkError"


class Link:
    """Commands of many callers on one connection: sent at once, answered in order.

    One task reads all replies, so a caller that leaves early cannot leave half a reply to the
    next one. The first error or late reply ends the link for everybody: whoever still waits gets
    `Unconfirmed`, whoever comes later gets `Unavailable`. A link never reconnects.
    """

    def __init__(
        self, connection: Connection, on_message: Callable[[bytes], None] | None = None
    ) -> None:
        self._connection = connection
        self._on_message = on_message
        self._waiting: deque[asyncio.Future[_Answer]] = deque()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Holds why the link ended, once it has."""
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        user: str | None = None,
        password: str | None = None,
        limit_s: float = 1.0,
        on_message: Callable[[bytes], None] | None = None,
    ) -> Self:
        """Connect within `limit_s`; raises Unavailable with the reason.

        `on_message` gets the payload of each published message, once SUBSCRIBE was called.
        """
        # redis-py's own retries would hide losses from the policy, hence none. It has no read
        # limit either: the reader waits for pushes as long as it takes, callers have limits.
        # RESP2, because the listener wants pub/sub that every Redis and proxy understands.
        try:
            # Even this reads a file, which fails when the process has no descriptor left.
            connection = Connection(
                host=host,
                port=port,
                username=user,
                password=password,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,
                socket_connect_timeout=limit_s,
            )
        except OSError as error:
            raise Unavailable(f"cannot connect to {host}:{port}: {error}") from error
        try:
            # Connecting includes a handshake, which a frozen server accepts and never answers.
            async with asyncio.timeout(limit_s):
                await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            reason = str(error) or f"not within {limit_s:g} s"
            raise Unavailable(f"cannot connect to {host}:{port}: {reason}") from error
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise
        return cls(connection, on_message)

    async def call(self, *words: bytes | str | int, limit_s: float) -> Reply:
        """Send a command and return its reply.

        Raises Unavailable when it was not sent, Refused when Redis said no, and Unconfirmed
        when no reply came within `limit_s`, which also ends the link.
        """
        # redis-py reconnects by itself when asked to send on a closed connection.
        if self.ended.done() or not self._connection.is_connected:
            raise Unavailable(self.ended.result() if self.ended.done() else "connection closed")
        packed = self._connection.pack_command(*words)
        reply: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        try:
            async with asyncio.timeout(limit_s):
                await self._connection.send_packed_command(packed, check_health=False)
                answer = await reply
        except TimeoutError:
            reason = f"no reply within {limit_s * 1000:g} ms"
            self._end(reason)
            raise Unconfirmed(reason) from None
        except (RedisError, OSError) as error:
            self._end(str(error))
            raise Unconfirmed(str(error)) from error
        except asyncio.CancelledError:
            # redis-py drops a connection whose sending was interrupted; the link must know.
            if not self._connection.is_connected:
                self._end("interrupted while sending")
            raise
        if isinstance(answer, LinkError):
            raise answer
        return answer

    async def close(self) -> None:
        """End the link and let go of its socket."""
        self._end("closed")
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    def _end(self, reason: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(reason)
        self._reader.cancel()
        while self._waiting:
            self._answer(Unconfirmed(reason))

    def _answer(self, answer: _Answer) -> None:
        waiting = self._waiting.popleft()
        if not waiting.done():
            waiting.set_result(answer)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    reply: Reply = await self._connection.read_response()
                except ResponseError as error:
                    self._answer(Refused(str(error)))
                    continue
                match reply:
                    case [b"message", _, bytes(payload)] if self._on_message is not None:
                        self._on_message(payload)
                    case _:
                        self._answer(reply)
        except (RedisError, OSError) as error:
            self._end(str(error) or type(error).__name__)
        except Exception as error:
            self._end(f"{type(error).__name__}: {error}")
            raise
