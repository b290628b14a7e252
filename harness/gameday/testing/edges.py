"""The proxies of edges in memory, to test network faults without a socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gameday.api.edge import (
    Dialect,
    EdgeState,
    Heard,
    Route,
    Seen,
    Stream,
)
from gameday.api.environment import Endpoint
from gameday.api.listing import Came, ListedConnection
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MICROSECOND, MILLISECOND, SECOND
from gameday.model.scenario import Edge
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.toxics import MemoryToxic

__all__ = ["EdgedEnvironment", "MemoryDialect", "MemoryEdge", "MemoryLine", "TerseDialect"]

_DIRECT_NS = 200 * MICROSECOND
_FRONT_NS = 500 * MICROSECOND


class TerseDialect(Dialect):
    """A service of which only the greeting is known."""

    greeting = b"HI"


class MemoryDialect(TerseDialect):
    """A service that says as much as it is asked for."""

    def download(self, size: int) -> bytes:
        return b"GET %d" % size

    def upload(self, size: int) -> bytes:
        return b"U" * size


@dataclass(slots=True, kw_only=True)
class MemoryEdge:
    """A proxy that does what it is told at once; each of its defects is a field."""

    proxied: Endpoint = field(default_factory=lambda: Endpoint(host="127.0.0.1", port=2))
    upstream: Endpoint = field(default_factory=lambda: Endpoint(host="127.0.0.1", port=1))
    dialect: Dialect | None = field(default_factory=MemoryDialect)
    forwarded: bool = False
    resets_open: bool = True
    works: bool = True
    """Whether toxics and switches do what they say; the server reports them either way."""
    does: float = 1.0
    """How much of each magnitude it does: 0.5 delays half as long as asked for."""
    removes: bool = True
    enables: bool = True
    readable: bool = True
    fails_to_add: int = 0
    """The number of the `add`, from 1, that is refused."""
    blocks_removal: bool = False
    """Whether a toxic comes off only while the proxy is disabled."""
    keeps_open: bool = False
    """Whether connections from before a fault are spared by it."""
    accepts_first: bool = False
    """Whether it accepts and ends connections that it is said to refuse."""
    ends_in_order: bool = False
    """Whether what should be reset from before a fault gets an orderly end."""
    lingers: bool = False
    """Whether toxics go on acting when the server lists them no more."""
    serves: bool = True
    """Whether the service behind it answers."""
    service_bytes_per_s: int = 0
    """How fast the service itself is; 0: as fast as anybody wants."""
    jitters: bool = True
    counts: bool = True
    """Whether it tells what its toxics swallow."""
    lists: bool = True
    """Whether it tells of its connections."""
    crosses: bool = False
    """Whether toxics act on the other stream than the one that was asked for."""
    strangers: int = 0
    """How many others do at the same time what each line of ours does."""
    strangers_say: int = 0
    """How many bytes more they send."""
    deaf: bool = False
    """Whether what lines send after a login never comes to it."""
    drawn: str | None = None
    """The distribution that it draws from, whatever it was asked for."""
    coalesces: bool = False
    """Whether pieces arrive together."""
    answer_bytes: int = 10
    """How long the answer to a greeting is, or to several at once."""
    login_bytes: int = 0
    """What a login sends, and receives, before a line is opened."""
    capacity: int = 0
    """How many connections the service takes; 0: any number."""
    opens_in_ns: int = 0
    """How long a connection takes to be opened."""
    clock: ManualClock = field(default_factory=ManualClock)
    keeps: bool = False
    """Whether the service does not notice that a connection was closed."""
    loses_every: int = 0
    """Every so many a question through the front is lost; 0: none."""
    hears: bool = True
    """Whether what a half-open edge loses downstream comes from the service at all."""
    forgives: bool = False
    """Whether connections that were half-open go on afterwards."""
    tells_ends: bool = False
    """Whether a half-open edge passes the end of a connection on."""
    adds: int = 0
    asked: int = 0
    _enabled: bool = True
    _toxics: dict[str, MemoryToxic] = field(default_factory=dict)
    _ghosts: list[MemoryToxic] = field(default_factory=list)
    _lines: "list[MemoryLine]" = field(default_factory=list)

    def state(self) -> EdgeState:
        if not self.readable:
            raise EnvironmentRefused("the proxy server gives no answer")
        return EdgeState(enabled=self._enabled, toxics=tuple(self._toxics))

    def enable(self) -> None:
        if not self.enables:
            raise EnvironmentRefused("the proxy stays disabled")
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False
        for line in self._lines if self.works else ():
            line.cut()

    def add(
        self, name: str, kind: str, stream: Stream, attributes: Mapping[str, int | str]
    ) -> None:
        self.adds += 1
        if self.adds == self.fails_to_add:
            raise EnvironmentRefused("the proxy server has no such toxic")
        other: Stream = "downstream" if stream == "upstream" else "upstream"
        self._toxics[name] = MemoryToxic(
            kind=kind,
            stream=other if self.crosses else stream,
            attributes={k: v for k, v in attributes.items() if isinstance(v, int)},
            distribution=str(attributes.get("distribution", "uniform")),
        )

    def remove(self, name: str) -> None:
        if not self.removes or (self.blocks_removal and self._enabled):
            raise EnvironmentRefused("the removal gives no answer")
        removed = self._toxics.pop(name, None)
        if self.lingers and removed is not None:
            self._ghosts.append(removed)

    def connections(self) -> Sequence[ListedConnection] | None:
        if not self.lists:
            return None
        seen = [one for number, line in enumerate(self._lines) for one in line.listed(number)]
        others = [
            replace(
                one,
                number=one.number + 1_000 * turn,
                client=f"198.51.100.{turn}:1",
                upstream=replace(one.upstream, bytes=one.upstream.bytes + self.strangers_say),
            )
            for turn in range(1, self.strangers + 1)
            for one in seen
        ]
        return seen + others

    def dropped_bytes(self, name: str) -> int | None:
        if name not in self._toxics:
            return 0
        return self._toxics[name].swallowed if self.counts else None

    def swallow(self, *, question: int, answer: int) -> None:
        """Count what vanishes: there is no answer to a question that does."""
        ways = {toxic.stream: toxic for toxic in self.doing("timeout")}
        if "upstream" in ways:
            ways["upstream"].swallowed += question
        elif "downstream" in ways:
            ways["downstream"].swallowed += answer

    def open(self, route: Route, limit_ns: int, answer_limit_ns: int = 0) -> "MemoryLine":
        self.clock.sleep_ns(self.opens_in_ns)
        line = MemoryLine(self, route, len(self._lines))
        self._lines.append(line)
        return line

    @property
    def accepted_connections(self) -> int:
        """How many connections the service has."""
        lines = [one for one in self._lines if not one.ended() and (self.keeps or not one.closed)]
        return round(self.does * len(lines)) if self.works else 0

    def refuses(self) -> bool:
        return self.works and not self._enabled

    def doing(self, kind: str) -> list[MemoryToxic]:
        """Return the toxics of a kind that have an effect."""
        every = (*self._toxics.values(), *self._ghosts)
        return [toxic for toxic in every if self.works and toxic.kind == kind]

    def loses(self, stream: Stream) -> bool:
        """Tell whether a direction is half-open."""
        return any(toxic.stream == stream for toxic in self.doing("half_open"))

    @property
    def quiet(self) -> bool:
        """Whether nothing is set on it."""
        return self._enabled and not self._toxics

    def late_ns(self, stream: Stream) -> int:
        """Return how late data of a direction is, with a jitter by turns all over its range."""
        share = self.does if self.jitters else 0
        return sum(
            round(self.does * toxic.attributes["latency"] * MILLISECOND)
            + round(share * toxic.jitter_ns(number, self.asked, self.drawn))
            for number, toxic in enumerate(self.doing("latency"))
            if toxic.stream == stream
        )

    def late_end_ns(self, stream: Stream) -> int:
        """Return how late the end of a direction is."""
        toxics = [one for one in self.doing("slow_close") if one.stream == stream]
        return round(self.does * MILLISECOND * sum(one.attributes["delay"] for one in toxics))


class MemoryLine:
    """One connection: what it hears is computed from the toxics, and takes no time."""

    def __init__(self, edge: MemoryEdge, route: Route, number: int) -> None:
        self._edge = edge
        self._through = route is Route.PROXIED
        self.origin: Endpoint | None = Endpoint(host="127.0.0.1", port=40_000 + number)
        self._served_ns: int | None = None
        self._ended_ns: int | None = None
        self._came = edge.login_bytes
        self._sent = self.opening_sent = edge.login_bytes
        self._received = edge.login_bytes
        self._unanswered = False
        self._holed = False
        self._from_before = edge.quiet
        self.closed = False
        refused = self._through and edge.refuses()
        full = bool(edge.capacity) and edge.accepted_connections >= edge.capacity
        self._ended: Seen | None = Seen.CLOSED if refused or full else None
        self.opened = (
            Seen.REFUSED
            if refused and not (edge.forwarded or edge.accepts_first)
            else Seen.REJECTED
            if full
            else Seen.SILENT
            if edge.login_bytes and not edge.serves
            else Seen.ANSWERED
        )
        self.opening = Heard(seen=self.opened, reads=(edge.login_bytes,))

    def ask(self, question: bytes, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        self._sent += len(question)
        fate = self._fate()
        if fate is not None:
            return Heard(seen=fate, ended_ns=_FRONT_NS)
        size = int(question.split()[1]) if question.startswith(b"GET") else self._edge.answer_bytes
        edge = self._edge
        edge.asked += self._through
        if not edge.serves or (
            self._through and edge.loses_every and edge.asked % edge.loses_every == 0
        ):
            return Heard(seen=Seen.SILENT)
        if self._loses():
            self._holed = True
            if edge.hears and not edge.loses("upstream"):
                self._serve(size, _DIRECT_NS)
            return Heard(seen=Seen.SILENT)
        served_ns = 0
        if edge.service_bytes_per_s:
            served_ns = max(size, len(question)) * SECOND // edge.service_bytes_per_s
        if not self._through or (self._from_before and edge.keeps_open):
            return _heard(_DIRECT_NS + served_ns, (size,), to_the_end)
        stalls = [one for one in edge.doing("bandwidth") if one.attributes["rate"] == 0]
        cut = edge.doing("timeout") + stalls
        if cut:
            self._unanswered = bool(stalls)
            edge.swallow(question=len(question), answer=size)
            if all(one.stream == "downstream" for one in cut):
                self._serve(size, _DIRECT_NS)
            return Heard(seen=Seen.SILENT)
        reads: tuple[int, ...] = (size,)
        there_ns = edge.late_ns("upstream")
        took_ns = _FRONT_NS + served_ns + there_ns + edge.late_ns("downstream")
        self._serve(size, _DIRECT_NS + served_ns + there_ns)
        for toxic in edge.doing("bandwidth"):
            carried = len(question) if toxic.stream == "upstream" else size
            took_ns += round(carried * MILLISECOND / (toxic.attributes["rate"] * edge.does))
        for toxic in edge.doing("slicer"):
            carried = len(question) if toxic.stream == "upstream" else size
            pieces = carried // toxic.attributes["average_size"]
            took_ns += round(pieces * toxic.attributes["delay"] * MICROSECOND * edge.does)
            if toxic.stream == "downstream" and not edge.coalesces:
                reads = (toxic.attributes["average_size"],) * pieces or reads
        for toxic in edge.doing("limit_data"):
            limit = round(toxic.attributes["bytes"] * edge.does)
            if toxic.stream == "upstream" and self._sent > limit:
                return Heard(seen=Seen.CLOSED, ended_ns=took_ns)
            if toxic.stream == "downstream" and self._received + sum(reads) > limit:
                reads, to_the_end = (limit - self._received,), True
        self._received += sum(reads)
        return _heard(took_ns, reads, to_the_end)

    def listen(self, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        fate = self._fate()
        if fate is not None:
            return Heard(seen=fate, ended_ns=_FRONT_NS)
        if self._unanswered and not self._edge.doing("bandwidth"):
            self._unanswered = False
            return _heard(_FRONT_NS, (self._edge.answer_bytes,), to_the_end)
        return Heard(seen=Seen.SILENT)

    def hang_up(self, limit_ns: int) -> Heard:
        if self._loses() and not self._edge.tells_ends:
            self._holed = True
            return Heard(seen=Seen.SILENT)
        if not self._through:
            return Heard(seen=Seen.CLOSED, ended_ns=_DIRECT_NS)
        self._ended_ns = _DIRECT_NS + self._edge.late_end_ns("upstream")
        back_ns = self._edge.late_end_ns("downstream")
        return Heard(seen=Seen.CLOSED, ended_ns=self._ended_ns + back_ns)

    def listed(self, number: int) -> Sequence[ListedConnection]:
        """Return what the proxy has of it; its clock stands at zero when something is said."""
        if not self._through:
            return ()
        ended = self._ended_ns is not None
        client = "192.0.2.1:1" if self._edge.forwarded else str(self.origin)
        sent = self._edge.login_bytes if self._edge.deaf else self._sent
        there = Came(bytes=sent, last_ns=0, ended_ns=0 if ended else None)
        back = Came(bytes=self._came, last_ns=self._served_ns, ended_ns=self._ended_ns)
        return (ListedConnection(number=number, client=client, upstream=there, downstream=back),)

    def ended(self) -> bool:
        return self._fate() is not None

    def close(self) -> None:
        self.closed = True

    def _serve(self, size: int, at_ns: int) -> None:
        """Let an answer come to the proxy."""
        self._came += size
        self._served_ns = at_ns

    def _fate(self) -> Seen | None:
        """Return how the connection has ended, if it has."""
        edge = self._edge
        spared = self._from_before and edge.keeps_open
        if self._through and self._ended is None and not spared:
            if edge.refuses():
                self._ended = Seen.CLOSED
            elif edge.doing("reset_peer") and (edge.resets_open or not self._from_before):
                orderly = edge.ends_in_order and self._from_before
                self._ended = Seen.CLOSED if orderly else Seen.RESET
            elif self._holed and not edge.doing("half_open") and not edge.forgives:
                self._ended = Seen.RESET
        return self._ended

    def _loses(self) -> bool:
        spared = self._from_before and self._edge.keeps_open
        return self._through and not spared and bool(self._edge.doing("half_open"))

    def cut(self) -> None:
        """End, as the proxy was disabled."""
        if self._through and not (self._from_before and self._edge.keeps_open):
            self._ended = self._ended or Seen.CLOSED


def _heard(took_ns: int, reads: tuple[int, ...], to_the_end: bool) -> Heard:
    return Heard(
        seen=Seen.CLOSED if to_the_end else Seen.ANSWERED,
        reads=reads,
        first_ns=took_ns,
        last_ns=took_ns,
        ended_ns=took_ns if to_the_end else None,
    )


@dataclass(slots=True, kw_only=True)
class EdgedEnvironment(MemoryEnvironment):
    """The services of a target in memory, with a proxy before each edge."""

    proxies: dict[Edge, MemoryEdge] = field(default_factory=dict)

    def edge(self, edge: Edge) -> MemoryEdge:
        return self.proxies.setdefault(edge, MemoryEdge())
