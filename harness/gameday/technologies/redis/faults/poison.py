"""Poison message: entries in a stream that its consumers cannot make sense of."""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, timed
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.redis.connection import RedisConnection
from gameday.technologies.redis.server import RedisServer, asked, text_of

__all__ = ["PoisonMessage"]

_MOST = 1000
_MOST_BODY = 10_000
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonMessage:
    """Entries that no consumer can understand are added to a stream.

    Mechanism, both environments: XADD to the stream and, where somebody is subscribed to a channel
    of the same name, PUBLISH of the id and the body, as such a stream is announced. Each entry ends
    with a word of this fault's own. Proof: as many entries as were asked for are read back from
    the stream by their ids; how many subscribers got them is counted. Undo: XDEL of these very
    entries, however much came after them, and the stream holds none of them. What a consumer
    made of them before is not undone.
    """

    verb: ClassVar[str] = "poison-message"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis"})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True, outlives_process=True)
    target: str
    """The Redis server."""
    to: str
    """The key of the stream; it must exist."""
    field: str = "payload"
    """The field of an entry that holds the body."""
    body: str = "not what was agreed upon"
    times: int = 1
    """How many entries, at most 1000."""

    def __post_init__(self) -> None:
        size = len(self.body)
        require(
            ("times", 1 <= self.times <= _MOST, f"1 to {_MOST}"),
            ("to", bool(self.to), "the name of a stream"),
            ("field", bool(self.field), "the name of a field"),
            ("body", size <= _MOST_BODY, f"at most {_MOST_BODY} characters; these are {size}"),
        )

    def on(self, environment: Environment) -> Injection:
        return _Poisoning(RedisServer(environment, self.target), self)


class _Poisoning:
    """The entries of one fault, known by their ids and by the word that they end with."""

    def __init__(self, server: RedisServer, fault: PoisonMessage) -> None:
        self._server = server
        self._fault = fault
        self._word = token_hex(8)
        self._heard = 0
        self._ids: list[str] = []
        self._before: str | None = None
        """The newest entry from before; None: nothing was ever added."""
        self.undo_text = (
            f"delete the entries of the stream {self._fault.to} that end with {self._word}"
        )
        self.asked: Mapping[str, Scalar] = {"stream": self._fault.to, "times": self._fault.times}

    def inject(self) -> Window:
        if self._server.ask("TYPE", self._fault.to) != "stream":
            raise EnvironmentRefused(
                f"poison-message: {self._fault.to} is not a stream of {self._fault.target}"
            )
        return timed(self._server.clock, self._add)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        there = len(self._entries())
        return Proof(
            proven=there == self._fault.times,
            measured={"entries": there, "subscribers_reached": self._heard},
        )

    def undo(self) -> Window:
        window, _ = attempted(self._server.clock, self._delete)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        try:
            left = len(self._entries())
            written = self._server.write()
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={"error": str(error)})
        return Proof(
            proven=left == 0 and written == "OK",
            measured={"entries_after": left, "write_after": str(written)},
        )

    def _add(self) -> None:
        fault = self._fault
        body = f"{fault.body} {self._word}"
        self._before = self._newest()
        for _ in range(fault.times):
            entry = text_of(self._server.ask("XADD", fault.to, "*", fault.field, body))
            self._ids.append(entry)
            heard = self._server.ask("PUBLISH", fault.to, f"{entry} {body}")
            self._heard += heard if isinstance(heard, int) else 0

    def _delete(self) -> None:
        entries = self._entries()
        if entries:
            self._server.ask("XDEL", self._fault.to, *entries)

    def _entries(self) -> list[str]:
        """Return the ids of the fault's entries that the stream holds."""
        connection = self._server.line()
        try:
            found = [one for known in self._ids for one in self._poison(connection, known, known)]
            if self._before is not None and len(self._ids) < self._fault.times:
                found += self._unheard(connection, (self._before, *self._ids)[-1])
        finally:
            connection.close()
        return [entry for entry, poison in found if poison]

    def _unheard(self, connection: RedisConnection, after: str) -> list[tuple[str, bool]]:
        """Read all that came after, as of now: the answer to one that was added may be lost."""
        found: list[tuple[str, bool]] = []
        end = self._newest()
        while page := self._poison(connection, f"({after}", end):
            found += page
            after, _ = page[-1]
        return found

    def _poison(self, connection: RedisConnection, start: str, end: str) -> list[tuple[str, bool]]:
        """Return each id of one page of the stream, and whether that entry is poison."""
        found = asked(connection, "XRANGE", self._fault.to, start, end, "COUNT", str(_PAGE))
        entries = found if isinstance(found, list) else []
        return [
            (str(entry[0]), str(entry[1][-1]).endswith(self._word))
            for entry in entries
            if isinstance(entry, list) and isinstance(entry[1], list)
        ]

    def _newest(self) -> str:
        """Return the id of the newest entry that the stream ever had."""
        told = self._server.ask("XINFO", "STREAM", self._fault.to)
        facts = told if isinstance(told, list) else []
        return text_of(facts[facts.index("last-generated-id") + 1])
