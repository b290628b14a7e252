"""A write probe: numbered writes at a rate, on one connection at a time, none delayed."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from gameday.api.opening import Opening, TurnedAway
from gameday.load.client import Log, PendingOperation, Sweeper, Terms, connect_error
from gameday.load.messages import StreamPlan
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.operation import Outcome

__all__ = ["Codec", "PipelineClient", "Pipelined", "Reply"]

_CONNECT_LIMIT_S = 1.0
_NEXT_DIAL_NS = 200 * MILLISECOND


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server says of one write; after an unknown one nothing that follows is believed."""

    number: int
    outcome: Outcome
    error: str = ""


class Codec(Protocol):
    """One connection's side of a store's protocol. Its writes are numbered from 1."""

    @property
    def opening(self) -> Opening | None:
        """What comes before the first write, if anything."""
        ...

    def write(self, number: int, value: int) -> bytes:
        """Return what writes `value`."""
        ...

    def hear(self, data: bytes) -> Iterator[Reply]:
        """Yield each reply that is whole now; ValueError if it is none of this protocol."""
        ...


class PipelineClient:
    """Writes each value at once, however many are unanswered.

    While there is no connection every operation that comes due asks for one: at once if none is
    being made, and beside the others if the last was asked for 200 ms ago. So a server that is
    back is noticed within one interval of the rate, or 200 ms where it lets connections hang: a
    packet that was lost is sent again only after a second, and the server has no part in that.
    """

    def __init__(self, plan: StreamPlan, log: Log, codec: Callable[[], Codec]) -> None:
        self.log = log
        self._plan = plan
        self._codec = codec
        self._loop = asyncio.get_running_loop()
        self.sweeper = Sweeper(self._loop, log)
        self._connection: _Connection | None = None
        self._open: set[_Connection] = set()
        self._waiting: deque[PendingOperation] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._dialled_ns = 0

    @property
    def outstanding(self) -> int:
        return self.sweeper.outstanding

    def offer(self, slot: int, value: int, due_ns: int) -> None:
        call = PendingOperation(slot, value, due_ns + self._plan.deadline_ns)
        self.sweeper.watch(call)
        if self._connection is not None and self._connection.usable:
            self._connection.send(call)
            return
        while self._waiting and self._waiting[0].done:
            self._waiting.popleft()
        self._waiting.append(call)
        now_ns = time.monotonic_ns()
        if not self._dials or now_ns - self._dialled_ns >= _NEXT_DIAL_NS:
            self._dialled_ns = now_ns
            dial = self._loop.create_task(self._dial(self._plan.deadline_ns / SECOND))
            self._dials.add(dial)
            dial.add_done_callback(self._dials.discard)

    async def warm_up(self) -> None:
        await self._dial(_CONNECT_LIMIT_S)

    def close(self) -> None:
        self.sweeper.close()
        for dial in self._dials:
            dial.cancel()
        for connection in list(self._open):
            connection.abort()

    def connected(self, connection: "_Connection") -> None:
        """Remember a connection, so that `close` finds it."""
        self._open.add(connection)

    def opened(self, connection: "_Connection") -> None:
        """Use this connection from now on, first for what has waited, if there is no other."""
        if self._connection is not None and self._connection.usable:
            return
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
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(limit_s):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self, self._codec(), self._loop.create_future()),
                    self._plan.host,
                    self._plan.port,
                )
                await connection.ready
        except TimeoutError:
            # Who waited for so long has ended; the others may yet be served by another dial.
            return
        except TurnedAway as error:
            self._fail_waiting(f"log in: {error}")
        except OSError as error:
            self._fail_waiting(connect_error(error))
        finally:
            if connection is not None and self._connection is not connection:
                connection.abort()

    def _fail_waiting(self, text: str) -> None:
        now_ns = time.monotonic_ns()
        while self._waiting:
            self.sweeper.end(self._waiting.popleft(), now_ns, Outcome.FAILED, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelined:
    """The `LoadClient` of a protocol that answers in order, or by number, on one connection."""

    codec: Callable[[StreamPlan], Codec]
    """Makes what speaks on a new connection."""
    answer_bytes: int | None = None

    def open(self, plan: StreamPlan, log: Log, terms: Terms) -> PipelineClient:
        there = replace(plan, host=terms.address)
        return PipelineClient(there, log, lambda: self.codec(there))

    def request(self, plan: StreamPlan, run: str) -> Callable[[int], bytes]:
        codec = self.codec(plan)
        return lambda value: codec.write(value, value)


class _Connection(asyncio.Protocol):
    """One connection, with the writes on it that are not answered."""

    __slots__ = ("_calls", "_client", "_codec", "_number", "_retired", "_transport", "ready")

    def __init__(self, client: PipelineClient, codec: Codec, ready: "asyncio.Future[None]") -> None:
        self.ready = ready
        """Done when writes may be sent; TurnedAway when they never may."""
        self._client = client
        self._codec = codec
        self._number = 0
        self._calls: dict[int, PendingOperation] = {}
        self._retired = False
        self._transport: asyncio.Transport

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def send(self, call: PendingOperation) -> None:
        self._number += 1
        request = self._codec.write(self._number, call.value)
        self._calls[self._number] = call
        call.sent = True
        call.drop = self._late
        self._client.log.sent(call.slot, time.monotonic_ns())
        self._transport.write(request)

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client.connected(self)
        if self._codec.opening is None:
            self._be_ready()
        else:
            transport.write(self._codec.opening.start())

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if not self.ready.done():
            self._go_on_opening(data)
            return
        try:
            for reply in self._codec.hear(data):
                call = self._calls.pop(reply.number, None)
                if call is None:
                    raise ValueError("the answer to nothing")
                self._client.sweeper.end(call, now_ns, reply.outcome, reply.error)
                if reply.outcome is Outcome.UNKNOWN:
                    # What follows can no longer be told to belong to which write.
                    self.abort()
                    return
        except ValueError:
            self.abort()
            return
        if self._retired and not self._calls:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        now_ns = time.monotonic_ns()
        how = "closed" if exc is None else "reset"
        self._client.lost(self)
        if not self.ready.done():
            self.ready.set_exception(TurnedAway(f"connection {how}"))
        for call in self._calls.values():
            self._client.sweeper.end(
                call, now_ns, Outcome.UNKNOWN, f"connection {how} after the command was sent"
            )
        self._calls.clear()

    def _go_on_opening(self, data: bytes) -> None:
        opening = self._codec.opening
        assert opening is not None, "without one it is ready from the start"
        try:
            say = opening.hear(data)
        except TurnedAway as error:
            self.ready.set_exception(error)
            self.abort()
            return
        if say:
            self._transport.write(say)
        if opening.done:
            self._be_ready()

    def _be_ready(self) -> None:
        self.ready.set_result(None)
        self._client.opened(self)

    def _late(self) -> None:
        """A deadline passed: use another connection, but give the younger writes their time."""
        self._retired = True
        self._client.retire(self)
        if all(call.done for call in self._calls.values()):
            self.abort()
