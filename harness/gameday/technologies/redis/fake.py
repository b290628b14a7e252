"""Redis servers in memory, to test what is done to them by command without a server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gameday.api.environment import Endpoint, Ran
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.login import Login
from gameday.technologies.redis.connection import ANSWER_LIMIT_NS, RedisConnection, Refusal, Reply
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryService

__all__ = ["MemoryRedis", "RedisHouse", "dialler"]

_ADDRESS = ("10.0.0.1", "6379")
_WORD_BYTES = 100
_ANSWER_NS = MILLISECOND
_BYTE_NS = 200


@dataclass(slots=True, kw_only=True)
class MemoryRedis:
    """A server that does what it is told at once; each of its defects is a field."""

    name: str = "db"
    clock: ManualClock = field(default_factory=ManualClock)
    primary: "MemoryRedis | None" = None
    settings: dict[str, str] = field(
        default_factory=lambda: {
            "appendonly": "yes",
            "save": "60 1",
            "dir": "/data",
            "appenddirname": "aof",
            "maxmemory": "0",
            "maxmemory-policy": "noeviction",
            "lua-time-limit": "5000",
            "replica-announce-ip": "10.0.0.2",
            "replica-announce-port": "6379",
        }
    )
    alive: bool = True
    run: int = 1
    """Which start of it this is."""
    kills: bool = True
    """Whether a killed client is gone; it is counted either way."""
    spares: int = 0
    """The client that is counted and not killed."""
    miscounts: int = 0
    """How many more it says to have killed."""
    hides: bool = False
    """Whether a killed client is listed no more, and served all the same."""
    ends_new: bool = False
    """Whether whoever is connected is sent away, sooner or later."""
    minds_limit: bool = True
    resets: bool = True
    """Whether settings can be set to what they were first."""
    ignores: str = ""
    """The setting that it takes and does not change."""
    refuses: str = ""
    """What it answers to every write, if anything."""
    says_on: bool = False
    """Whether it says that it writes to its file, whatever it does."""
    link: str = "connected"
    """How it says that the link to its primary is."""
    keeps_writing: bool = False
    """Whether writes come to the file although it is off."""
    streams: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """The number of each entry of a stream, and the body."""
    forgets_entries: bool = False
    """Whether what is added to a stream gets an id and is not kept."""
    keeps_entries: bool = False
    """Whether entries that are deleted stay."""
    loses_writes: bool = False
    """Whether no write comes to the file at all."""
    rewrites: bool = True
    """Whether turning the file on again succeeds."""
    busies: bool = True
    """Whether a script keeps others out."""
    busy_word: str = "BUSY"
    hasty: bool = False
    """Whether it says that it is busy before its time."""
    swaps: bool = True
    """Whether a failover happens; it is promised either way."""
    takes_writes: bool = False
    """Whether it takes writes as a replica, too."""
    replicates: bool = True
    traffic_bytes: int = 0
    """What is published on every channel, each time that anybody reads messages."""
    keeps: float = 1.0
    """How much of what a subscriber does not take it keeps."""
    scripts_killed: int = 0
    in_file: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    lines: "list[MemoryRedisLine]" = field(default_factory=list)
    replicas: "list[MemoryRedis]" = field(default_factory=list)
    evicted: int = 0
    _entries: int = 0
    _first: dict[str, str] = field(default_factory=dict)
    _script: "MemoryRedisLine | None" = None

    def __post_init__(self) -> None:
        self._first = dict(self.settings)
        if self.primary is not None:
            self.primary.replicas.append(self)

    @property
    def used(self) -> int:
        return 1_000_000 + _WORD_BYTES * len(self.keys)

    @property
    def over(self) -> bool:
        limit = int(self.settings["maxmemory"])
        return self.minds_limit and 0 < limit < self.used

    def clients(self, kind: str | None = None) -> "list[MemoryRedisLine]":
        return [line for line in self.lines if not line.gone and kind in (None, line.kind)]

    def said(self, line: "MemoryRedisLine", words: Sequence[str]) -> Reply:
        """Return the answer to one command, which takes a moment, and longer if it is long."""
        self.clock.sleep_ns(_ANSWER_NS + _BYTE_NS * sum(map(len, words)))
        name = " ".join(words[:2]).upper() if words[0] in _TWO_WORDS else words[0].upper()
        if self._script is not None and self.busies and name != "SCRIPT KILL":
            # A server in a script is silent up to its threshold.
            if not self.hasty:
                self.clock.sleep_ns(int(self.settings["lua-time-limit"]) * MILLISECOND)
            return Refusal(f"{self.busy_word} Redis is busy running a script.")
        match name:
            case "PING":
                return "PONG"
            case "SET":
                return self._write(words[1], words[2])
            case "GET":
                return self.keys.get(words[1])
            case "EXISTS":
                return int(words[1] in self.keys)
            case "INFO":
                return "\r\n".join(f"{key}:{value}" for key, value in self._info().items())
            case "CONFIG GET":
                known = self.settings.get(words[2])
                return [] if known is None else [words[2], known]
            case "CONFIG SET":
                return self._set(words[2], words[3])
            case "EVAL":
                return self._eval(line, words)
            case "SCRIPT KILL":
                return self._kill_script()
            case "ROLE" | "FAILOVER" | "REPLICAOF" | "WAIT":
                return self._replication(name, words)
            case "TYPE" | "XADD" | "XDEL" | "XRANGE" | "XINFO":
                return self._stream(name, words)
        return self._client(name, line, words)

    def _client(self, name: str, line: "MemoryRedisLine", words: Sequence[str]) -> Reply:
        match name:
            case "CLIENT ID":
                return line.number
            case "CLIENT LIST":
                kind = words[3] if len(words) > 3 else None
                return "\n".join(
                    f"id={one.number} omem={round(one.waiting * self.keeps)}"
                    for one in self.clients(kind)
                    if not (self.hides and one.hidden)
                )
            case "CLIENT KILL":
                ours = line if words[4:] == ("SKIPME", "yes") else None
                hit = [one for one in self.clients(words[3]) if one is not ours]
                for one in hit if self.kills else ():
                    one.hidden = True
                    one.gone = not self.hides and one.number != self.spares
                return len(hit) + self.miscounts
            case "SUBSCRIBE":
                line.kind = "pubsub"
                line.channels.add(words[1])
                return ["subscribe", words[1], 1]
            case "PUBLISH":
                hearers = [one for one in self.clients("pubsub") if words[1] in one.channels]
                for one in hearers:
                    one.waiting += len(words[2])
                return len(hearers)
        return Refusal(f"ERR unknown command {name!r}")

    def _stream(self, name: str, words: Sequence[str]) -> Reply:
        entries = self.streams.get(words[2] if name == "XINFO" else words[1])
        if entries is None:
            return "none" if name == "TYPE" else Refusal("ERR no such key")
        match name:
            case "TYPE":
                return "stream"
            case "XADD":
                self._entries += 1
                if not self.forgets_entries:
                    entries.append((self._entries, words[4]))
                return f"{self._entries}-0"
            case "XDEL":
                gone = {_number_of(word) for word in words[2:]}
                entries[:] = [one for one in entries if self.keeps_entries or one[0] not in gone]
                return len(gone)
            case "XINFO":
                return ["length", len(entries), "last-generated-id", f"{self._entries}-0"]
        after = words[2].startswith("(")
        first, last = _number_of(words[2].lstrip("(")) + after, _number_of(words[3])
        found = [one for one in entries if first <= one[0] <= last]
        return [[f"{number}-0", ["payload", body]] for number, body in found]

    def _replication(self, name: str, words: Sequence[str]) -> Reply:
        match (name, *words[1:]):
            case ("ROLE",) if self.primary is not None:
                return ["slave", *_ADDRESS[:1], int(_ADDRESS[1]), self.link, 7]
            case ("ROLE",):
                return ["master", 7, [["10.0.0.9", "6379", "7"] for _ in self.replicas]]
            case ("FAILOVER", "TO", *_):
                if self.swaps and self.replicas:
                    (heir,) = self.replicas
                    self.replicas, heir.replicas = [], [self]
                    self.primary, heir.primary = heir, None
                return "OK"
            case ("REPLICAOF", "NO", "ONE"):
                self.primary = None
                return "OK"
            case ("WAIT", *_):
                return len(self.replicas)
        return Refusal("ERR No failover in progress.")

    def follow(self, primary: "MemoryRedis") -> None:
        """Be the replica of that one from now on."""
        self.primary = primary
        self.replicas = []
        primary.replicas = [self]

    def _write(self, key: str, value: str) -> Reply:
        if self.refuses:
            return Refusal(self.refuses)
        if self.primary is not None and not self.takes_writes:
            return Refusal("READONLY You can't write against a read only replica.")
        if self.over and self.settings["maxmemory-policy"] != "noeviction" and self.keys:
            self.evicted += len(self.keys)
            self.keys.clear()
        if self.over:
            return Refusal("OOM command not allowed when used memory > 'maxmemory'.")
        self.keys[key] = value
        on = self.settings["appendonly"] == "yes"
        if (on or self.keeps_writing) and not self.loses_writes:
            self.in_file.add(value)
        for replica in self.replicas if self.replicates else ():
            replica.keys[key] = value
        return "OK"

    def _set(self, name: str, value: str) -> Reply:
        if not self.resets and value == self._first[name]:
            return Refusal("ERR CONFIG SET failed")
        if name != self.ignores:
            self.settings[name] = value
        return "OK"

    def _eval(self, line: "MemoryRedisLine", words: Sequence[str]) -> Reply:
        if words[3] == "1000000000000":
            return int(words[4])
        self._script = line
        line.pending = True
        return None

    def _kill_script(self) -> Reply:
        if self._script is None:
            return Refusal("NOTBUSY No scripts in execution right now.")
        self.scripts_killed += 1
        self._script.pending = False
        self._script = None
        return "OK"

    def _info(self) -> dict[str, str]:
        on = self.settings["appendonly"] == "yes"
        return {
            "run_id": f"run {self.run}",
            "used_memory": str(self.used),
            "mem_not_counted_for_evict": "0",
            "maxmemory": self.settings["maxmemory"],
            "maxmemory_policy": self.settings["maxmemory-policy"],
            "evicted_keys": str(self.evicted),
            "aof_enabled": str(int(on or self.says_on)),
            "aof_rewrite_in_progress": "0",
            "aof_rewrite_scheduled": "0",
            "aof_last_bgrewrite_status": "ok" if self.rewrites else "err",
            "aof_last_write_status": "ok",
        }


def _number_of(entry: str) -> int:
    return int(entry.partition("-")[0])


_TWO_WORDS = frozenset({"CLIENT", "CONFIG", "SCRIPT"})


class MemoryRedisLine:
    """One connection: what it is asked is answered before it is fetched."""

    def __init__(self, server: MemoryRedis) -> None:
        if not server.alive:
            raise EnvironmentRefused("nobody accepts")
        self._server = server
        self._answers: list[Reply] = []
        self._queued: list[Sequence[str]] | None = None
        self.kind = "normal"
        self.gone = False
        self.hidden = False
        self.pending = False
        """Whether it waits for the end of a script."""
        self.channels: set[str] = set()
        self.waiting = 0
        """How many bytes of messages are there to be read."""
        self.number = len(server.lines) + 1
        server.lines.append(self)

    def send(self, *words: str) -> None:
        if words == ("MULTI",):
            self._queued = []
            self._answers.append("OK")
        elif words == ("EXEC",) and self._queued is not None:
            queued, self._queued = self._queued, None
            self._answers.append([self._server.said(self, one) for one in queued])
        elif self._queued is not None:
            self._queued.append(words)
            self._answers.append("QUEUED")
        else:
            self._answers.append(self._server.said(self, words))

    def receive(self, limit_ns: int = ANSWER_LIMIT_NS) -> Reply:
        if self.gone or not self._server.alive:
            raise EnvironmentRefused("it ended the connection")
        return self._answers.pop(0)

    def said(self) -> bool:
        return not self.pending

    def skim(self, size: int) -> int:
        if self.gone or not self._server.alive:
            raise EnvironmentRefused("it ended the connection")
        self._server.clock.sleep_ns(_ANSWER_NS)
        for line in self._server.clients("pubsub"):
            line.waiting += self._server.traffic_bytes
        taken = min(size, self.waiting)
        self.waiting -= taken
        return taken

    def ended(self, limit_ns: int) -> bool:
        clock = self._server.clock
        give_up_ns = clock.now_ns() + limit_ns
        while not (self.gone or self._server.ends_new) and clock.now_ns() < give_up_ns:
            clock.sleep_ns(_ANSWER_NS)
        return self.gone or self._server.ends_new

    def close(self) -> None:
        self.gone = True


class Dial(Protocol):
    """What opens a connection."""

    def __call__(
        self, endpoint: Endpoint, login: Login, receive_bytes: int = 0
    ) -> RedisConnection: ...


def dialler(servers: "dict[int, MemoryRedis]") -> Dial:
    """Return what stands in for `dial`: the server of each port answers."""

    def dial(endpoint: Endpoint, login: Login, receive_bytes: int = 0) -> RedisConnection:
        return MemoryRedisLine(servers[endpoint.port])

    return dial


@dataclass(slots=True, kw_only=True)
class RedisHouse(MemoryService):
    """A service whose append-only file can be looked into."""

    server: MemoryRedis
    looks: list[str] = field(default_factory=list)
    misses_file: bool = False

    def run_inside(self, command: Sequence[str], limit_ns: int, *, user: str = "") -> Ran:
        assert limit_ns <= 10 * SECOND
        *_, word, path = command
        self.looks.append(path)
        if self.misses_file:
            return Ran(code=2, output=f"grep: {path}: No such file or directory")
        return Ran(code=0 if word in self.server.in_file else 1, output="")
