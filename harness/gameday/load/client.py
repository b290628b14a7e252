"""What all load clients share: pending calls, their log, and their deadlines."""

import asyncio
import os
import pkgutil
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gameday.load.messages import StreamPlan
from gameday.model.clock import SECOND
from gameday.model.operation import Outcome

__all__ = [
    "NOT_SENT",
    "NO_ANSWER",
    "Client",
    "LoadClient",
    "Log",
    "PendingOperation",
    "Sweeper",
    "Terms",
    "connect_error",
    "load_client",
]

NOT_SENT = "not sent before the deadline"
NO_ANSWER = "no answer before the deadline"


def connect_error(error: OSError) -> str:
    """Return the text for a connection that could not be made; it names no port, which differs."""
    return f"connect: {os.strerror(error.errno) if error.errno else type(error).__name__}"


class Log(Protocol):
    """Where a client says what became of each slot; `Recorder` is one."""

    def sent(self, slot: int, sent_ns: int) -> None: ...

    def done(self, slot: int, done_ns: int, outcome: Outcome, error: str = "") -> None: ...


class Client(Protocol):
    """Sends operations at once and never holds one back because another is unanswered."""

    @property
    def outstanding(self) -> int:
        """How many operations were offered and have not ended."""
        ...

    def offer(self, slot: int, value: int, due_ns: int) -> None:
        """Send the operation now, or as soon as there is a connection for it."""
        ...

    async def warm_up(self) -> None:
        """Try to have a connection; none is no error, for then the operations will tell."""
        ...

    def close(self) -> None:
        """Drop every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the load driver gives a client beside its plan."""

    run: str
    address: str
    """That of the plan's host, resolved."""
    most: int
    """How many connections it may open."""
    held: Callable[[int, int], None]
    """Told the end and the length of each wait for one of these."""


class LoadClient(Protocol):
    """How the operations of one kind of stream are made; named by a `Probe` or a `Workload`."""

    @property
    def answer_bytes(self) -> int | None:
        """How long each answer is to an operation that succeeds; None: they differ."""
        ...

    def open(self, plan: StreamPlan, log: Log, terms: Terms) -> Client:
        """Return the client of a stream, in the load driver."""
        ...

    def request(self, plan: StreamPlan, run: str) -> Callable[[int], bytes]:
        """Return what makes the request of each value: the longer, the larger the value."""
        ...


def load_client(place: str) -> LoadClient:
    """Return what "module:object" names."""
    found: LoadClient = pkgutil.resolve_name(place)
    return found


class PendingOperation:
    """One operation from its due time to its end; it ends exactly once."""

    __slots__ = ("deadline_ns", "done", "drop", "held", "sent", "slot", "value")

    def __init__(self, slot: int, value: int, deadline_ns: int) -> None:
        self.slot = slot
        self.value = value
        self.deadline_ns = deadline_ns
        self.sent = False
        self.held = False
        """Whether it waits because the driver may open no more connections."""
        self.done = False
        self.drop: Callable[[], None] | None = None
        """What the client does when nobody waits for this answer any more."""


class Sweeper:
    """Ends every call of one stream at its deadline, with one timer for all of them.

    All calls of a stream may take equally long, so the order of due is the order of deadlines.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.outstanding = 0
        self._closed = False
        self._loop = loop
        self._log = log
        self._now_ns = now_ns
        self._calls: deque[PendingOperation] = deque()
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, call: PendingOperation) -> None:
        """See to it that `call` ends."""
        self.outstanding += 1
        self._calls.append(call)
        if self._handle is None:
            self._set(call.deadline_ns - self._now_ns())

    def end(self, call: PendingOperation, done_ns: int, outcome: Outcome, error: str = "") -> None:
        """End `call`; nothing happens when it has ended already."""
        if call.done or self._closed:
            return
        call.done = True
        self.outstanding -= 1
        self._log.done(call.slot, done_ns, outcome, error)

    def close(self) -> None:
        """End nothing any more."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()

    def _set(self, wait_ns: int) -> None:
        self._handle = self._loop.call_later(max(0, wait_ns) / SECOND, self._sweep)

    def _sweep(self) -> None:
        now_ns = self._now_ns()
        self._handle = None
        while self._calls:
            call = self._calls[0]
            if not call.done:
                if call.deadline_ns > now_ns:
                    self._set(call.deadline_ns - now_ns)
                    return
                self._expire(call, now_ns)
            self._calls.popleft()

    def _expire(self, call: PendingOperation, now_ns: int) -> None:
        if call.sent:
            self.end(call, now_ns, Outcome.UNKNOWN, NO_ANSWER)
        else:
            self.end(call, now_ns, Outcome.FAILED, NOT_SENT)
        if call.drop is not None:
            call.drop()
