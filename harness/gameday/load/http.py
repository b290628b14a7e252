"""HTTP/1.1 requests at a rate: raw bytes on as many kept connections as an open loop needs."""

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from gameday.load.client import Log, PendingOperation, Sweeper, Terms, connect_error
from gameday.load.messages import StreamPlan
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.operation import Outcome

__all__ = ["Answer", "HttpClient", "HttpRequests", "parse_answer"]

# Servers close idle connections (uvicorn after 5 s). A request that meets such a close is lost
# through nobody's fault, so a connection is not trusted for that long.
_LONGEST_IDLE_NS = 2 * SECOND
_LARGEST_ANSWER = 1 << 20
_CONNECT_LIMIT_S = 1.0
# The host has no more files, ports or memory for sockets: no word of the system's.
_OUR_SHORTAGES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
)
_SHORT_FOR_NS = 50 * MILLISECOND


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, and whether the connection is fit for another request."""

    status: int
    body: bytes
    keep: bool


def parse_answer(data: bytes, *, closed: bool = False) -> Answer | None:
    """Return the answer in `data`, or None while it is not whole.

    `closed` tells that nothing more will come. ValueError when this is no answer that can be read.
    """
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        if len(head) >= 5 and not head.startswith(b"HTTP/"):
            raise ValueError("not an HTTP answer")
        return None
    first, _, fields = head.lower().partition(b"\r\n")
    if not (first.startswith(b"http/1.") and first[9:12].isdigit()):
        raise ValueError("not an HTTP answer")
    headers = {
        name: value.strip()
        for name, _, value in (line.partition(b":") for line in fields.split(b"\r\n"))
    }
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        raise ValueError("a chunked answer, which is not read here")
    keep = headers.get(b"connection") != b"close" and first.startswith(b"http/1.1")
    length = headers.get(b"content-length")
    if length is None:
        return Answer(int(first[9:12]), body, keep=False) if closed else None
    if not length.isdigit():
        raise ValueError("not an HTTP answer")
    if len(body) < int(length):
        return None
    # Bytes beyond the answer belong to no request of ours.
    return Answer(int(first[9:12]), body[: int(length)], keep and len(body) == int(length))


class HttpClient:
    """Sends each operation on an idle connection, else on the first that is new or free.

    Idle connections are used last in first out, waiting operations first in first out. What waits
    for a connection waits for the system: each has one dialled for it. Only where `most` are open
    already, or the host gives no more, does it wait for the driver, which is told.
    """

    def __init__(
        self,
        plan: StreamPlan,
        log: Log,
        request: Callable[[int], bytes],
        judge: Callable[[int, Answer], tuple[Outcome, str]],
        *,
        most: int,
        held: Callable[[int, int], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`request` makes the bytes that ask for a value, `judge` says what an answer means.

        `held` gets the end and the length of each wait for one of the `most` connections.
        """
        self.request = request
        self.judge = judge
        self.log = log
        self.now_ns = now_ns
        self._plan = plan
        self._most = most
        self._held = held
        self._short_until_ns = 0
        self._loop = asyncio.get_running_loop()
        self.sweeper = Sweeper(self._loop, log, now_ns)
        self._open: set[_Connection] = set()
        self._idle: dict[_Connection, None] = {}
        self._waiting: deque[PendingOperation] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def outstanding(self) -> int:
        return self.sweeper.outstanding

    def offer(self, slot: int, value: int, due_ns: int) -> None:
        call = PendingOperation(slot, value, due_ns + self._plan.deadline_ns)
        self.sweeper.watch(call)
        connection = self._idle_connection()
        if connection is not None:
            connection.send(call)
            return
        waiting = self._waiting
        while waiting and waiting[0].done:
            waiting.popleft()
        waiting.append(call)
        self._dial_if_needed()
        if len(self._dials) < len(waiting):
            self._hold(call)

    def held(self, call: PendingOperation) -> None:
        """Tell how long a call has been held, that is sent or given up now."""
        now_ns = self.now_ns()
        self._held(now_ns, now_ns - call.deadline_ns + self._plan.deadline_ns)

    async def warm_up(self) -> None:
        await self._dial(waited_for=False)

    def close(self) -> None:
        self._closed = True
        self.sweeper.close()
        for dial in self._dials:
            dial.cancel()
        for connection in list(self._open):
            connection.abort()

    def opened(self, connection: "_Connection") -> None:
        """Count a connection in and use it."""
        self._open.add(connection)
        self.free(connection)

    def free(self, connection: "_Connection") -> None:
        """Give a connection the operation that has waited longest, or keep it."""
        while self._waiting:
            call = self._waiting.popleft()
            if not call.done:
                connection.send(call)
                return
        connection.idle_since_ns = self.now_ns()
        self._idle[connection] = None

    def lost(self, connection: "_Connection") -> None:
        """Count a connection out, and replace it if operations wait."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._dial_if_needed()

    def _idle_connection(self) -> "_Connection | None":
        oldest_ns = self.now_ns() - _LONGEST_IDLE_NS
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.idle_since_ns >= oldest_ns and connection.usable:
                return connection
            connection.abort()
        return None

    def _dial_if_needed(self) -> None:
        while (
            not self._closed
            and len(self._dials) < len(self._waiting)
            and len(self._dials) + len(self._open) < self._most
            and self.now_ns() >= self._short_until_ns
        ):
            dial = self._loop.create_task(self._dial(waited_for=True))
            self._dials.add(dial)
            dial.add_done_callback(self._dialled)

    async def _dial(self, *, waited_for: bool) -> None:
        limit_s = self._plan.deadline_ns / SECOND if waited_for else _CONNECT_LIMIT_S
        try:
            async with asyncio.timeout(limit_s):
                await self._loop.create_connection(
                    lambda: _Connection(self), self._plan.host, self._plan.port
                )
        except TimeoutError:
            # The operations that waited for it have ended at their own deadlines.
            return
        except OSError as error:
            if error.errno in _OUR_SHORTAGES:
                self._be_short()
            elif waited_for:
                self._fail_oldest(error)

    def _hold(self, call: PendingOperation) -> None:
        call.held = True
        call.drop = partial(self.held, call)

    def _be_short(self) -> None:
        """Dial no more for a moment: every operation that waits now is held by this host."""
        self._short_until_ns = self.now_ns() + _SHORT_FOR_NS
        for call in reversed(self._waiting):
            if call.held:
                return
            self._hold(call)

    def _fail_oldest(self, error: OSError) -> None:
        while self._waiting:
            call = self._waiting.popleft()
            if not call.done:
                now_ns = self.now_ns()
                self.sweeper.end(call, now_ns, Outcome.FAILED, connect_error(error))
                return

    def _dialled(self, dial: asyncio.Task[None]) -> None:
        self._dials.discard(dial)
        self._dial_if_needed()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequests:
    """The `LoadClient` of HTTP/1.1 requests, as many at once as an open loop needs."""

    ask: Callable[[str, str, int], Callable[[int], bytes]]
    """Returns, for a run, a host and a port, what makes the request of each value."""
    judge: Callable[[int, Answer], tuple[Outcome, str]]
    answer_bytes: int | None = None

    def open(self, plan: StreamPlan, log: Log, terms: Terms) -> HttpClient:
        there, ask = replace(plan, host=terms.address), self.request(plan, terms.run)
        return HttpClient(there, log, ask, self.judge, most=terms.most, held=terms.held)

    def request(self, plan: StreamPlan, run: str) -> Callable[[int], bytes]:
        return self.ask(run, plan.host, plan.port)


class _Connection(asyncio.Protocol):
    """One connection with at most one request on it."""

    __slots__ = ("_call", "_data", "_pool", "_transport", "idle_since_ns")

    def __init__(self, pool: HttpClient) -> None:
        self.idle_since_ns = 0
        self._pool = pool
        self._call: PendingOperation | None = None
        self._data = b""
        self._transport: asyncio.Transport

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def send(self, call: PendingOperation) -> None:
        request = self._pool.request(call.value)
        self._call = call
        if call.held:
            self._pool.held(call)
        call.sent = True
        call.drop = self.abort
        self._pool.log.sent(call.slot, self._pool.now_ns())
        self._transport.write(request)

    def abort(self) -> None:
        self._call = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        now_ns = self._pool.now_ns()
        self._data = self._data + data if self._data else data
        if self._call is None or len(self._data) > _LARGEST_ANSWER:
            self._end(now_ns, Outcome.UNKNOWN, "an answer that is too large or was not asked for")
            return
        self._read(now_ns, closed=False)

    def connection_lost(self, exc: Exception | None) -> None:
        now_ns = self._pool.now_ns()
        if self._call is not None and exc is None:
            self._read(now_ns, closed=True)
        how = "closed" if exc is None else "reset"
        self._end(now_ns, Outcome.UNKNOWN, f"connection {how} after the request was sent")
        self._pool.lost(self)

    def _read(self, now_ns: int, *, closed: bool) -> None:
        call = self._call
        assert call is not None
        try:
            answer = parse_answer(self._data, closed=closed)
        except ValueError as error:
            self._end(now_ns, Outcome.UNKNOWN, str(error))
            return
        if answer is None:
            return
        self._call = None
        self._data = b""
        call.drop = None
        self._pool.sweeper.end(call, now_ns, *self._pool.judge(call.value, answer))
        if answer.keep and self.usable:
            self._pool.free(self)
        else:
            self._transport.close()

    def _end(self, now_ns: int, outcome: Outcome, error: str) -> None:
        """End whatever is on this connection, and the connection."""
        if self._call is not None:
            self._pool.sweeper.end(self._call, now_ns, outcome, error)
        self.abort()
