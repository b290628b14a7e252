"""The Redis write probe: SET at a rate, raw RESP on one connection at a time."""

import asyncio
import time
from collections import deque

from gameday.model.clock import SECOND
from gameday.model.operation import Outcome
from gameday.workload.client import Call, Log, Sweeper, connect_error
from gameday.workload.messages import StreamPlan

__all__ = ["RedisClient"]

_CONNECT_LIMIT_S = 1.0
_LONGEST_REASON = 100
_LARGEST_REPLY = 1 << 16


class RedisClient:
    """Sends `SET gameday:probe:<stream> <value>`, each at once, however many are unanswered.

    While there is no connection every operation that comes due asks for one, at most one at a
    time, so a server that is back is noticed within one interval of the rate.
    """

    def __init__(self, plan: StreamPlan, log: Log) -> None:
        self.log = log
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self.sweeper = Sweeper(self._loop, log)
        self._connection: _Connection | None = None
        self._open: set[_Connection] = set()
        self._waiting: deque[Call] = deque()
        self._dialling: asyncio.Task[None] | None = None
        key = f"gameday:probe:{plan.name}".encode()
        self._head = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n" % (len(key), key)

    @property
    def outstanding(self) -> int:
        return self.sweeper.outstanding

    def request(self, value: int) -> bytes:
        """Return the command that writes `value`."""
        text = b"%d" % value
        return b"%b$%d\r\n%b\r\n" % (self._head, len(text), text)

    def offer(self, slot: int, value: int, due_ns: int) -> None:
        call = Call(slot, value, due_ns + self._plan.deadline_ns)
        self.sweeper.watch(call)
        if self._connection is not None and self._connection.usable:
            self._connection.send(call)
            return
        self._waiting.append(call)
        if self._dialling is None:
            self._dialling = self._loop.create_task(self._dial(self._plan.deadline_ns / SECOND))

    async def warm_up(self) -> None:
        await self._dial(_CONNECT_LIMIT_S)

    def close(self) -> None:
        self.sweeper.close()
        if self._dialling is not None:
            self._dialling.cancel()
        for connection in list(self._open):
            connection.abort()

    def opened(self, connection: "_Connection") -> None:
        """Use this connection from now on, first for what has waited."""
        self._open.add(connection)
        self._connection = connection
        while self._waiting:
            call = self._waiting.popleft()
            if not call.done:
                connection.send(call)

    def retire(self, connection: "_Connection") -> None:
        """Send nothing more on a connection that is lost or let a deadline pass."""
        if self._connection is connection:
            self._connection = None

    def lost(self, connection: "_Connection") -> None:
        """Forget a connection."""
        self._open.discard(connection)
        self.retire(connection)

    async def _dial(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._loop.create_connection(
                    lambda: _Connection(self), self._plan.host, self._plan.port
                )
        except OSError as error:
            self._fail_waiting(connect_error(error))
        finally:
            self._dialling = None

    def _fail_waiting(self, text: str) -> None:
        now_ns = time.monotonic_ns()
        while self._waiting:
            self.sweeper.end(self._waiting.popleft(), now_ns, Outcome.FAILED, text)


class _Connection(asyncio.Protocol):
    """One connection, with the commands on it in the order in which they will be answered."""

    __slots__ = ("_calls", "_client", "_data", "_retired", "_transport")

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._calls: deque[Call] = deque()
        self._data = b""
        self._retired = False
        self._transport: asyncio.Transport

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def send(self, call: Call) -> None:
        request = self._client.request(call.value)
        self._calls.append(call)
        call.sent = True
        call.drop = self._late
        self._client.log.sent(call.slot, time.monotonic_ns())
        self._transport.write(request)

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client.opened(self)

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        *replies, self._data = (self._data + data).split(b"\r\n")
        for reply in replies:
            if not self._calls:
                self.abort()
                return
            outcome, error = _judge(reply)
            self._client.sweeper.end(self._calls.popleft(), now_ns, outcome, error)
            if outcome is Outcome.UNKNOWN:
                # What follows can no longer be told to belong to which command.
                self.abort()
                return
        if len(self._data) > _LARGEST_REPLY or (self._retired and not self._calls):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        now_ns = time.monotonic_ns()
        how = "closed" if exc is None else "reset"
        self._client.lost(self)
        while self._calls:
            self._client.sweeper.end(
                self._calls.popleft(),
                now_ns,
                Outcome.UNKNOWN,
                f"connection {how} after the command was sent",
            )

    def _late(self) -> None:
        """A deadline passed: use another connection, but give the younger commands their time."""
        self._retired = True
        self._client.retire(self)
        if all(call.done for call in self._calls):
            self.abort()


def _judge(reply: bytes) -> tuple[Outcome, str]:
    if reply == b"+OK":
        return Outcome.OK, ""
    if reply.startswith(b"-"):
        return Outcome.FAILED, reply[1 : _LONGEST_REASON + 1].decode(errors="replace")
    return Outcome.UNKNOWN, "not the answer to a SET"
