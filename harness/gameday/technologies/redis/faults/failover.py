"""Failover: a replica becomes the primary, and the primary its replica."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, undo_error, until
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits, Target
from gameday.model.units import DurationNs
from gameday.technologies.redis.connection import Refusal
from gameday.technologies.redis.server import READY_KEY, RedisServer, asked

__all__ = ["Failover"]

_LONGEST_NS = 20 * SECOND
_BACK_LIMIT_NS = 5 * SECOND
_MARGIN_NS = SECOND
_KNOWN_LIMIT_NS = 3 * SECOND
_SYNC_LIMIT_NS = 15 * SECOND
_WAIT_MS = 2000
_REPLICA = "redis-replica"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """A replica takes over in an orderly way; clients that stay with the old primary cannot write.

    Mechanism: FAILOVER TO the replica, which keeps writes waiting, lets it catch up and swaps the
    roles. Clients are not led to the new primary: that they still reach the old one, which
    refuses their writes with READONLY, is the fault. Proof: ROLE of both servers is swapped, a
    write is answered by the new primary and refused by the old one. Undo: FAILOVER back, by
    force if it must be; the replica follows the same address as before, a word written to the
    primary is read from it, and it refuses writes.
    """

    verb: ClassVar[str] = "failover"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis"})
    target: str
    """The primary."""
    to: str
    """Its replica, which takes over."""
    within_ns: DurationNs = 5 * SECOND
    """How long the replica may take to catch up before the server gives up, 100ms to 20s."""

    def __post_init__(self) -> None:
        fits = 100 * MILLISECOND <= self.within_ns <= _LONGEST_NS
        require(("within", fits, "100ms to 20s"))

    def validate_in_context(self, target: Target, for_ns: int) -> None:
        """Refuse to hand over to anything but a replica of the primary."""
        copies = [
            s.name for s in target.services if s.kind == _REPLICA and s.needs == (self.target,)
        ]
        wanted = f"a {_REPLICA} of {self.target}: {' or '.join(copies) or 'there is none'}"
        require(("to", self.to in copies, wanted))

    def on(self, environment: Environment) -> Injection:
        try:
            spec = environment.service(self.to).spec
        except KeyError:
            raise EnvironmentRefused(f"failover: there is no service {self.to}") from None
        if spec.kind != _REPLICA or spec.needs != (self.target,):
            raise EnvironmentRefused(f"failover: {self.to} is not a replica of {self.target}")
        primary = RedisServer(environment, self.target)
        replica = RedisServer(environment, self.to)
        role = _Role.of(replica)
        if _Role.of(primary).name != "master" or role.state != "connected":
            raise EnvironmentRefused(f"failover: {self.to} does not follow {self.target} now")
        names = (self.target, self.to)
        return _Swapping(primary, replica, names, follows=role.follows, within_ns=self.within_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    """What a server says that it is."""

    name: str
    follows: tuple[str, str] = ("", "")
    """The address of its primary."""
    state: str = ""
    """How its link is."""
    replicas: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, server: RedisServer) -> "_Role":
        match server.ask("ROLE"):
            case ["master", int(), [*replicas]]:
                known = [(str(r[0]), str(r[1])) for r in replicas if isinstance(r, list)]
                return cls(name="master", replicas=tuple(known))
            case ["slave", str(host), int(port), str(state), int()]:
                return cls(name="slave", follows=(host, str(port)), state=state)
            case other:
                raise EnvironmentRefused(f"ROLE: {str(other)[:80]}")


class _Swapping:
    """Two servers whose roles are swapped, and swapped back whatever has become of them."""

    def __init__(
        self,
        primary: RedisServer,
        replica: RedisServer,
        names: tuple[str, str],
        *,
        follows: tuple[str, str],
        within_ns: int,
    ) -> None:
        self._clock = primary.clock
        self._primary = primary
        self._replica = replica
        self._names = names
        self._follows = follows
        self._within_ns = within_ns
        self._called_ns: int | None = None
        self._trouble = ""
        self._forced = False
        self.asked: Mapping[str, Scalar] = {"to": self._names[1], "within_ns": self._within_ns}

    @property
    def undo_text(self) -> str:
        primary, replica = self._names
        return f"make {primary} the primary, and {replica} follow {':'.join(self._follows)}"

    def inject(self) -> Window:
        # The address at which the replica is reached by its primary, past the edge's proxy.
        host = self._replica.setting("replica-announce-ip")
        port = self._replica.setting("replica-announce-port")
        timeout = str(self._within_ns // MILLISECOND)
        self._called_ns = self._clock.now_ns()
        self._primary.ask("FAILOVER", "TO", host, port, "TIMEOUT", timeout)
        return Window(start_ns=self._called_ns, end_ns=self._clock.now_ns())

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Both say so, and only the new primary takes a write."""
        began_ns = self._called_ns or self._clock.now_ns()
        limit_ns = self._within_ns + _MARGIN_NS if self._called_ns else 0
        swapped = until(
            self._clock, lambda: self._roles() == ("slave", "master"), limit_ns, checkpoint
        )
        took_ns = self._clock.now_ns() - began_ns
        old, new = self._primary.write(), self._replica.write()
        primary, replica = self._names
        measured: dict[str, Scalar] = {
            f"role_of_{primary}": _Role.of(self._primary).name,
            f"role_of_{replica}": _Role.of(self._replica).name,
            f"write_to_{primary}": str(old),
            f"write_to_{replica}": str(new),
        }
        if swapped:
            measured["swapped_after_ns"] = took_ns
        refused = isinstance(old, Refusal) and old.startswith("READONLY")
        return Proof(proven=swapped and refused and new == "OK", measured=measured)

    def is_active(self) -> Proof:
        """The roles are swapped yet."""
        old, new = self._roles()
        primary, replica = self._names
        return Proof(
            proven=(old, new) == ("slave", "master"),
            measured={f"role_of_{primary}": old, f"role_of_{replica}": new},
        )

    def undo(self) -> Window:
        window, self._trouble = attempted(self._clock, self._swap_back, self._reattach)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The roles are as before, the link is that of before, and what is written arrives."""
        measured: dict[str, Scalar] = {"forced": self._forced, **undo_error(self._trouble)}
        began_ns = self._clock.now_ns()
        until(self._clock, self._linked, _SYNC_LIMIT_NS, checkpoint)
        try:
            role = _Role.of(self._replica)
            measured |= {
                "role_of_primary_after": _Role.of(self._primary).name,
                "follows_after": ":".join(role.follows),
                "link_after": role.state,
                "linked_after_ns": self._clock.now_ns() - began_ns,
            }
            arrives = self._word_arrives(checkpoint)
            refused = self._replica.write()
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured |= {"word_arrives": arrives, "write_to_replica_after": str(refused)}
        read_only = isinstance(refused, Refusal) and refused.startswith("READONLY")
        return Proof(proven=self._linked() and arrives and read_only, measured=measured)

    def _roles(self) -> tuple[str, str]:
        return _Role.of(self._primary).name, _Role.of(self._replica).name

    def _linked(self) -> bool:
        try:
            role = _Role.of(self._replica)
            above = _Role.of(self._primary).name
        except EnvironmentRefused:
            return False
        connected = role.state == "connected" and role.follows == self._follows
        return above == "master" and connected

    def _swap_back(self) -> None:
        """Fail over in good order if the roles are swapped; whatever else they are, by force."""
        for server in (self._primary, self._replica):
            # One that has not begun yet may be called off; the answer to none is a refusal.
            with suppress(EnvironmentRefused):
                server.answer("FAILOVER", "ABORT")
        with suppress(EnvironmentRefused):
            if self._roles() == ("slave", "master") and self._hand_back():
                return
        if _Role.of(self._primary).name != "master":
            self._forced = True
            self._primary.ask("REPLICAOF", "NO", "ONE")

    def _hand_back(self) -> bool:
        """Let the old primary catch up and take over; tell whether it has."""
        known = until(
            self._clock, lambda: len(_Role.of(self._replica).replicas) == 1, _KNOWN_LIMIT_NS
        )
        if not known:
            return False
        ((host, port),) = _Role.of(self._replica).replicas
        timeout = str(_BACK_LIMIT_NS // MILLISECOND)
        self._replica.ask("FAILOVER", "TO", host, port, "TIMEOUT", timeout)
        return until(
            self._clock, lambda: self._roles() == ("master", "slave"), _BACK_LIMIT_NS + _MARGIN_NS
        )

    def _reattach(self) -> None:
        """Follow through the edge's proxy again: the failover's own link goes past it."""
        if _Role.of(self._primary).name != "master":
            raise EnvironmentRefused(f"{self._names[0]} is not a primary, so nothing can follow it")
        if _Role.of(self._replica).follows != self._follows:
            self._replica.ask("REPLICAOF", *self._follows)

    def _word_arrives(self, checkpoint: Checkpoint) -> bool:
        word = token_hex(8)
        line = self._primary.line()
        try:
            asked(line, "SET", READY_KEY, word)
            asked(line, "WAIT", "1", str(_WAIT_MS), limit_ns=2 * _WAIT_MS * MILLISECOND)
        finally:
            line.close()
        return until(
            self._clock,
            lambda: self._replica.ask("GET", READY_KEY) == word,
            _KNOWN_LIMIT_NS,
            checkpoint,
        )
