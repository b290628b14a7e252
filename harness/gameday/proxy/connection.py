"""A client's connection and the one to the upstream that belongs to it."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from gameday.proxy.address import Address, format_address
from gameday.proxy.link import Link, Meter
from gameday.proxy.timer import WakeTimer
from gameday.proxy.toxic_chain import Draws, NamedToxic, Stream, ToxicChain
from gameday.proxy.toxics import End

if TYPE_CHECKING:
    from gameday.proxy.conversation.stages import Conversation

__all__ = ["ConnectionFacts", "ProxiedConnection", "keep_alive", "reset_socket"]

_NO_LINGER = struct.pack("ii", 1, 0)
_KEEP_ALIVE_S = 15
_now_ns = time.monotonic_ns


class _Socket(Protocol):
    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...


def reset_socket(sock: _Socket) -> None:
    """Let the close of `sock` be a RST: what is unsent is lost, and the peer sees an error."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def keep_alive(sock: socket.socket) -> None:
    """Let the system notice a peer that is gone without a word, as soon as Go would."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        option: int | None = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, _KEEP_ALIVE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesTaken:
    """What has come from one side, whatever toxics did with it since; CLOCK_MONOTONIC."""

    bytes: int
    last_ns: int | None
    """When the last of them came."""
    ended_ns: int | None
    """When that side ended what it sends, in order or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """What there is to tell of one connection."""

    number: int
    """Which one of its proxy's it is, from 1."""
    client: str
    upstream: BytesTaken
    downstream: BytesTaken


class Side(asyncio.Protocol):
    """One socket: what it reads goes into its link, and the other link writes to it."""

    def __init__(
        self, connection: "ProxiedConnection", meter: Meter, heard: Callable[[], None]
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self._last_ns: int | None = None
        self._ended_ns: int | None = None
        self.reads: Link | None = None
        self._early: list[bytes] = []
        self._ended_early = False
        self.written_by: Link | None = None
        self._connection = connection
        self._meter = meter
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # Nothing is read before both sockets are there: it stays with the sender.
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._meter.received += len(data)
        # A look at the clock, some 60 ns: all that a connection's facts cost a chunk.
        self._last_ns = _now_ns()
        if self.reads is not None:
            self.reads.feed(data)
            self._heard()
            return
        # Older asyncio (Python 3.11.2) starts to read although it was paused at once: what came
        # is kept, and a pause that undoes itself first is one that it heeds.
        self._early.append(data)
        assert self.transport is not None
        self.transport.resume_reading()
        self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended_ns = _now_ns()
        if self.reads is None:
            self._ended_early = True
        else:
            self.reads.end(End.EOF)
        # The other half of the connection stays open.
        return True

    def feeds(self, link: Link) -> None:
        """Let what is read go into `link`, first of all what was read before there was one."""
        self.reads = link
        for data in self._early:
            link.feed(data)
        self._early.clear()
        if self._ended_early:
            link.end(End.EOF)

    def came(self) -> BytesTaken:
        return BytesTaken(
            bytes=self._meter.received, last_ns=self._last_ns, ended_ns=self._ended_ns
        )

    def pause_writing(self) -> None:
        if self.written_by is not None:
            self.written_by.sink_full(True)

    def resume_writing(self) -> None:
        if self.written_by is not None:
            self.written_by.sink_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if exc is not None and self._ended_ns is None:
            self._ended_ns = _now_ns()
        self._connection.side_lost(self, exc)


class ProxiedConnection:
    """Bytes, half-closes and resets of one side arrive at the other, through the toxics.

    It is over when both sockets are closed; then `over` is called, once. `heard` is called after
    everything that came from either side.
    """

    def __init__(
        self,
        *,
        toxics: ToxicChain,
        timer: WakeTimer,
        number: int,
        client: Address,
        draws: Callable[[NamedToxic], Draws],
        over: Callable[["ProxiedConnection"], None],
        heard: Callable[[], None],
        conversation: "Conversation | None" = None,
    ) -> None:
        self._number = number
        self._client = client
        self.meters = {stream: Meter() for stream in Stream}
        self.client = Side(self, self.meters[Stream.UPSTREAM], heard)
        self.upstream = Side(self, self.meters[Stream.DOWNSTREAM], heard)
        self._toxics = toxics
        self._conversation = conversation
        self._timer = timer
        self._draws = draws
        self._over = over
        self._links: dict[Stream, Link] = {}
        self._links_ended = 0
        self._termination = False

    @property
    def facts(self) -> ConnectionFacts:
        """What has come from either side by now."""
        return ConnectionFacts(
            number=self._number,
            client=format_address(self._client),
            upstream=self.client.came(),
            downstream=self.upstream.came(),
        )

    def join(self) -> None:
        """Let data pass; both sockets are there."""
        client, upstream = self.client.transport, self.upstream.transport
        if client is None or upstream is None or self.client.lost or self.upstream.lost:
            self.reset()
            return
        there, back = (
            Link(source, sink, self, self._timer, self._draws, self.meters[stream])
            for source, sink, stream in (
                (client, upstream, Stream.UPSTREAM),
                (upstream, client, Stream.DOWNSTREAM),
            )
        )
        self._links = {Stream.UPSTREAM: there, Stream.DOWNSTREAM: back}
        if self._conversation is not None:
            there.lead(self._conversation.request_stage)
            back.lead(self._conversation.response_stage)
        self.upstream.written_by, self.client.written_by = there, back
        for stream, link in self._links.items():
            if not self._termination:
                self._toxics.join(link, stream)
        if self._termination:
            return
        client.resume_reading()
        upstream.resume_reading()
        self.client.feeds(there)
        self.upstream.feeds(back)

    def link_ended(self) -> None:
        """Close both sockets when neither side has more to say."""
        self._links_ended += 1
        if self._links_ended == len(self._links):
            self.close()

    def close(self) -> None:
        """Close both sockets in order, after what is already written to them."""
        self._end()
        for side in (self.client, self.upstream):
            if side.transport is not None:
                side.transport.close()

    def reset(self) -> None:
        """Reset both sockets now."""
        self._end()
        for side in (self.client, self.upstream):
            if side.transport is not None and not side.lost:
                with contextlib.suppress(OSError):
                    reset_socket(side.transport.get_extra_info("socket"))
                side.transport.abort()

    def cut(self) -> None:
        """Close both sockets now; what is not sent yet is lost, what is sent ends in order."""
        self._end()
        for side in (self.client, self.upstream):
            if side.transport is not None:
                side.transport.abort()

    def side_lost(self, side: Side, error: Exception | None) -> None:
        """Tell the other side that `side` broke; forget the connection when both are gone."""
        if error is not None and not self._termination and side.reads is not None:
            if side.written_by is not None:
                side.written_by.drop()
            side.reads.end(End.RESET)
        if all(one.lost or one.transport is None for one in (self.client, self.upstream)):
            self._end()
            self._over(self)

    def _end(self) -> None:
        if self._termination:
            return
        self._termination = True
        for stream, link in self._links.items():
            self._toxics.part(link, stream)
            link.drop()
