"""Poison message: entries in a stream that its consumers cannot make sense of."""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar

from gameday.environment.protocol import Checkpoint, Environment
from gameday.errors import EnvironmentRefused
from gameday.faults.protocol import Injection, Proof
from gameday.faults.redis.server import Server, bracketed, text_of
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.unfit import require

__all__ = ["PoisonMessage"]

_MOST = 1000
_MOST_BODY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonMessage:
    """A stream gets entries that no consumer of it can make sense of.

    Mechanism, both environments: XADD to the stream and, where somebody is subscribed to a channel
    of the same name, PUBLISH of the id and the body, as such a stream is announced. Each entry ends
    with a word of this fault's own. Proof: as many entries as were asked for are read back from
    the stream; how many subscribers got them is counted. Undo: XDEL of these very entries, and
    the stream holds none of them. What a consumer made of them before is not undone.
    """

    verb: ClassVar[str] = "poison-message"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis"})
    target: str
    """The Redis server."""
    to: str
    """The key of the stream; it has to exist."""
    field: str = "payload"
    """The name that the body has in an entry."""
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
        return _Poisoning(Server(environment.service(self.target).direct), self)


class _Poisoning:
    """The entries of one fault, known by their ids and by the word that they end with."""

    def __init__(self, server: Server, fault: PoisonMessage) -> None:
        self._server = server
        self._fault = fault
        self._word = token_hex(8)
        self._heard = 0

    @property
    def undo_text(self) -> str:
        return f"delete the entries of the stream {self._fault.to} that end with {self._word}"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {"stream": self._fault.to, "times": self._fault.times}

    def inject(self) -> Window:
        if self._server.ask("TYPE", self._fault.to) != "stream":
            raise EnvironmentRefused(
                f"poison-message: {self._fault.to} is no stream of {self._fault.target}"
            )
        called, trouble = bracketed(self._add)
        if trouble:
            raise EnvironmentRefused(trouble)
        return called

    def prove(self, checkpoint: Checkpoint) -> Proof:
        there = len(self._entries())
        return Proof(
            proven=there == self._fault.times,
            measured={"entries": there, "subscribers_reached": self._heard},
        )

    def undo(self) -> Window:
        called, _ = bracketed(self._delete)
        return called

    def prove_undone(self, checkpoint: Checkpoint) -> Proof:
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
        for _ in range(fault.times):
            entry = text_of(self._server.ask("XADD", fault.to, "*", fault.field, body))
            heard = self._server.ask("PUBLISH", fault.to, f"{entry} {body}")
            self._heard += heard if isinstance(heard, int) else 0

    def _delete(self) -> None:
        entries = self._entries()
        if entries:
            self._server.ask("XDEL", self._fault.to, *entries)

    def _entries(self) -> list[str]:
        """Return the ids of the entries that end with the word, newest first.

        They are looked for, not remembered: an answer that was lost may have been one of them.
        """
        found = self._server.ask("XREVRANGE", self._fault.to, "+", "-", "COUNT", str(100 * _MOST))
        entries = found if isinstance(found, list) else []
        return [
            str(entry[0])
            for entry in entries
            if isinstance(entry, list)
            and isinstance(entry[1], list)
            and str(entry[1][-1]).endswith(self._word)
        ]
