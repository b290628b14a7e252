"""Publish and subscribe through Redis without losing anything across a reconnect.

Plain Redis pub/sub forgets what is published while a subscriber is away. Here every message goes
to a stream as well, in the same server-side step, and a subscriber that returns reads what it
missed from the stream before it listens again. The stream keeps about the last million entries
(`STREAM_LENGTH`): a subscriber that stays away for longer than those last has lost the older ones.
"""

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from resilience.policy import ReconnectPolicy
from resilience.reconnecting import Reconnecting
from resilience.redis_link import Link, LinkError, Refused, Reply, Unavailable, Unconfirmed

__all__ = [
    "STREAM_LENGTH",
    "Address",
    "EntryId",
    "Publisher",
    "Subscriber",
    "Subscription",
    "fingerprint",
]

STREAM_LENGTH = 1_000_000

_PUBLISH_LIMIT_S = 0.5
_COMMAND_LIMIT_S = 1.0
_HEALTH_EVERY_S = 1.0
_POLL_EVERY_S = 0.01
_LAG_MS = 30
_PAGE = 1000
_HELD_MOST = 100_000
_log = logging.getLogger("pubsub")

# One script, so that nothing is ever in the stream but not published, or the other way round.
# MAXLEN ~ trims whole nodes only, which costs next to nothing.
_PUBLISH = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'payload', ARGV[2])
redis.call('PUBLISH', KEYS[1], id .. ' ' .. ARGV[2])
return id
"""


class Address(NamedTuple):
    """Where Redis listens, and who may talk to it."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None


class EntryId(NamedTuple):
    """The id of a stream entry: ordered as Redis orders it."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: bytes) -> Self:
        ms, _, seq = text.partition(b"-")
        return cls(int(ms), int(seq))

    def __bytes__(self) -> bytes:
        return b"%d-%d" % self


_START = EntryId(0, 0)


def fingerprint(entry_id: EntryId, payload: bytes) -> bytes:
    """Return what tells one received entry from every other, also when Redis reuses its id."""
    return b"%b %08x" % (bytes(entry_id), zlib.crc32(payload))


class Journal(Protocol):
    """Where a subscriber puts what it receives; it outlives the process."""

    @property
    def last(self) -> EntryId | None:
        """The id of the entry that was appended last, by this process or one before it."""
        ...

    def append(self, entry_id: EntryId, payload: bytes) -> None:
        """Keep an entry. When this returns, a crash of the process cannot lose it."""
        ...

    def contents(self) -> Container[bytes]:
        """Return the fingerprints of all entries; slow, and asked for only when Redis lost data."""
        ...


class _Session:
    """The links of one life of the connection; it is lost as soon as one of them is."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self.poll: Callable[[], Awaitable[str]] | None = None
        """Runs beside the links until it fails, which ends the session too."""

    async def link(
        self, address: Address, on_message: Callable[[bytes], None] | None = None
    ) -> Link:
        """Open one more link; it has answered a PING, so there is a server behind the proxy."""
        link = await Link.open(
            address.host,
            address.port,
            user=address.user,
            password=address.password,
            limit_s=_COMMAND_LIMIT_S,
            on_message=on_message,
        )
        self._links.append(link)
        await link.call("PING", limit_s=_COMMAND_LIMIT_S)
        return link

    async def lost(self) -> str:
        tasks = {asyncio.ensure_future(self._health())}
        if self.poll is not None:
            tasks.add(asyncio.ensure_future(self.poll()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except (LinkError, OSError) as error:
            return str(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        for link in self._links:
            await link.close()

    async def _health(self) -> str:
        """Ask every link in turn: a frozen server keeps its connections and answers nobody."""
        ends = {link.ended for link in self._links}
        while True:
            await asyncio.wait(ends, timeout=_HEALTH_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                if end.done():
                    return end.result()
            pings = (link.call("PING", limit_s=_COMMAND_LIMIT_S) for link in self._links)
            await asyncio.gather(*pings)


@asynccontextmanager
async def _session() -> AsyncIterator[_Session]:
    """A session that is being opened: whatever goes wrong, its links are closed."""
    session = _Session()
    try:
        yield session
    except BaseException:
        await session.close()
        raise


class Publisher:
    """Publishes to a topic; a publish returns only when Redis has confirmed it."""

    def __init__(self, address: Address, topic: str, policy: ReconnectPolicy) -> None:
        self._address = address
        self._topic = topic
        self._link: Link | None = None
        self.connection = Reconnecting(self._open, policy)

    async def publish(self, payload: bytes) -> EntryId:
        """Store and publish; raises Unavailable (certainly not stored) or Unconfirmed.

        Nothing is queued: without a connection the answer comes at once.
        """
        reply = await self.command("EVAL", _PUBLISH, 1, self._topic, STREAM_LENGTH, payload)
        if not isinstance(reply, bytes):
            raise Unconfirmed(f"Redis answered {reply!r} instead of an entry id")
        return EntryId.parse(reply)

    async def command(self, *words: bytes | str | int) -> Reply:
        """Run one command on the connection of the moment, within the publishing limit."""
        if self._link is None or not self.connection.connected:
            raise Unavailable(self.connection.why_not)
        return await self._link.call(*words, limit_s=_PUBLISH_LIMIT_S)

    async def _open(self) -> "_Session":
        async with _session() as session:
            self._link = await session.link(self._address)
        return session


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """How a subscriber receives; the defaults are the component, the rest are its defects."""

    reconnect: bool = True
    """False: the first loss is the end."""
    replay: bool = True
    """False: what was published while it was away is lost, as with plain pub/sub."""
    push: bool = True
    """False: it asks the stream every 10 ms instead, and only for what is at least 30 ms old.

    Users notice nothing of such a lag until Redis loses its data.
    """


class Subscriber:
    """Receives everything published to a topic, once, into a journal, across reconnects."""

    def __init__(
        self,
        address: Address,
        topic: str,
        policy: ReconnectPolicy,
        journal: Journal,
        how: Subscription,
    ) -> None:
        self._address = address
        self._topic = topic
        self._journal = journal
        self._how = how
        self._commands: Link | None = None
        self._last = journal.last or _START
        self._known: Container[bytes] = ()
        """What a replay from the start leaves out; outlives an attempt that broke off midway."""
        self._held: list[bytes] | None = None
        """What was pushed during a replay; None when live."""
        self._overlapping = False
        self.connection = Reconnecting(self._open, policy, give_up_when_lost=not how.reconnect)

    async def command(self, *words: bytes | str | int) -> Reply:
        """Run one command on the connection of the moment."""
        if self._commands is None or not self.connection.connected:
            raise Unavailable(self.connection.why_not)
        return await self._commands.call(*words, limit_s=_COMMAND_LIMIT_S)

    async def _open(self) -> _Session:
        """Subscribe first, replay second, then go live: in between nothing can slip through."""
        async with _session() as session:
            commands = await session.link(self._address)
            if self._how.push:
                self._held = []
                pushed = await session.link(self._address, self._pushed)
                await pushed.call("SUBSCRIBE", self._topic, limit_s=_COMMAND_LIMIT_S)
                if self._how.replay:
                    await self._replay(commands)
                self._go_live()
            else:
                session.poll = lambda: self._poll(commands)
        self._commands = commands
        return session

    def _go_live(self) -> None:
        """Take what was pushed during the replay, and from now on all that comes."""
        held, self._held = self._held or [], None
        self._overlapping = self._how.replay
        for message in held:
            self._pushed(message)

    def _pushed(self, message: bytes) -> None:
        if self._held is not None:
            if len(self._held) >= _HELD_MOST:
                raise OSError(f"more than {_HELD_MOST} messages came during one replay")
            self._held.append(message)
            return
        text, _, payload = message.partition(b" ")
        entry_id = EntryId.parse(text)
        if entry_id > self._last:
            self._overlapping = False
        elif self._overlapping:
            return  # The replay had it already.
        # An older id after the overlap is a stream that began anew, under a clock set back.
        self._take(entry_id, payload)

    def _take(self, entry_id: EntryId, payload: bytes) -> None:
        self._journal.append(entry_id, payload)
        self._last = entry_id

    async def _poll(self, commands: Link) -> str:
        while True:
            await self._replay(commands, b"%d" % (time.time_ns() // 1_000_000 - _LAG_MS))
            await asyncio.sleep(_POLL_EVERY_S)

    async def _replay(self, commands: Link, until: bytes = b"+") -> None:
        """Read the stream from the last entry on, that one included: it proves the stream whole.

        Without it Redis has lost data (or trimmed it): the stream is then read from its start,
        and what the journal has is left out. Waiting for a larger id could take for ever.
        """
        page = await self._page(commands, bytes(self._last), until)
        if self._last != _START:
            if page and page[0][0] == self._last:
                page = page[1:] or await self._page(commands, b"(" + bytes(self._last), until)
            else:
                _log.warning("entry %s is gone from Redis: reading all it has", self._last)
                self._known = await asyncio.to_thread(self._journal.contents)
                self._last = _START
                page = await self._page(commands, bytes(_START), until)
        while page:
            for entry_id, payload in page:
                if fingerprint(entry_id, payload) in self._known:
                    self._last = entry_id
                else:
                    self._take(entry_id, payload)
            page = await self._page(commands, b"(" + bytes(self._last), until)
        self._known = ()

    async def _page(
        self, commands: Link, start: bytes, until: bytes
    ) -> list[tuple[EntryId, bytes]]:
        reply = await commands.call(
            "XRANGE", self._topic, start, until, "COUNT", _PAGE, limit_s=_COMMAND_LIMIT_S
        )
        return [_entry(item) for item in reply] if isinstance(reply, list) else []


def _entry(item: Reply) -> tuple[EntryId, bytes]:
    match item:
        case [bytes(entry_id), [b"payload", bytes(payload)]]:
            return EntryId.parse(entry_id), payload
    raise Refused(f"the stream has an entry that is not ours: {item!r}")
