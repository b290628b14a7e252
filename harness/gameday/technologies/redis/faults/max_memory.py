"""Memory limit: a Redis server has no memory left for what it is asked to store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, timed, undo_error, until
from gameday.model.clock import SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import RatioField, SizeBytes
from gameday.technologies.redis.connection import Refusal
from gameday.technologies.redis.server import READY_KEY, RedisServer

__all__ = ["MaxMemory"]

Policy = Literal[
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
]

_EFFECT_LIMIT_NS = SECOND
_WRITE_LIMIT_NS = 30 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxMemory:
    """The server's `maxmemory` is set below what it uses: it refuses writes, or evicts keys.

    Mechanism: CONFIG SET of maxmemory and its policy. Proof: by its own accounts the server uses
    more than the limit that was asked for, a write is refused with OOM and a read is answered;
    under a policy that evicts, its count of evicted keys rises instead, or no key is left to
    evict. Undo: the values from before are set, INFO tells them, and a write is answered. What
    was evicted does not come back.
    """

    verb: ClassVar[str] = "maxmemory"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis"})
    target: str
    """The Redis server."""
    limit_bytes: SizeBytes = 0
    """The limit; 0B: it is given by `of_used`."""
    of_used: RatioField = 0.0
    """The limit as a share of what is used at the injection, 1% to 99%."""
    policy: Policy = "noeviction"

    def __post_init__(self) -> None:
        if bool(self.limit_bytes) == bool(self.of_used):
            given = "both are" if self.limit_bytes else "neither is"
            raise ValueError(f"a memory limit is given by limit or of_used; {given} given")
        fits = not self.of_used or 0.01 <= self.of_used <= 0.99
        require(("of_used", fits, "1% to 99%"))

    def on(self, environment: Environment) -> Injection:
        server = RedisServer(environment, self.target)
        before = _Memory.of(server)
        limit = self.limit_bytes or round(before.used * self.of_used)
        return _Lowering(server, before, limit, self.policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """What a server says of its memory."""

    used: int
    """Without the buffers that do not count against the limit."""
    limit: int
    policy: str
    evicted: int

    @classmethod
    def of(cls, server: RedisServer) -> "_Memory":
        info = server.info("memory")
        return cls(
            used=int(info["used_memory"]) - int(info["mem_not_counted_for_evict"]),
            limit=int(info["maxmemory"]),
            policy=info["maxmemory_policy"],
            evicted=int(server.info("stats")["evicted_keys"]),
        )


class _Lowering:
    """A lowered limit: proven by what the server refuses or forgets."""

    def __init__(self, server: RedisServer, before: _Memory, limit: int, policy: Policy) -> None:
        self._clock = server.clock
        self._server = server
        self._before = before
        self._limit = limit
        self._policy = policy
        self._trouble = ""
        self.undo_text = (
            f"set maxmemory {self._before.limit} and maxmemory-policy {self._before.policy}"
        )
        self.asked: Mapping[str, Scalar] = {
            "limit_bytes": self._limit,
            "policy": self._policy,
            "used_before_bytes": self._before.used,
            "limit_before_bytes": self._before.limit,
        }

    def inject(self) -> Window:
        # The policy first: the old one might evict, the moment that the limit is lowered.
        return timed(self._clock, lambda: self._set(self._policy, self._limit))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        measured: dict[str, Scalar] = {}
        proven = until(self._clock, lambda: self._bites(measured), _EFFECT_LIMIT_NS, checkpoint)
        return Proof(proven=proven, measured=measured)

    def is_active(self) -> Proof:
        """INFO tells the limit and the policy that were asked for; a new start has its own."""
        now = _Memory.of(self._server)
        return Proof(
            proven=(now.limit, now.policy) == (self._limit, self._policy),
            measured={"limit_bytes": now.limit, "policy": now.policy, "used_bytes": now.used},
        )

    def undo(self) -> Window:
        before = self._before
        window, self._trouble = attempted(
            self._clock,
            lambda: self._server.set("maxmemory", str(before.limit)),
            lambda: self._server.set("maxmemory-policy", before.policy),
        )
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """INFO tells the values from before, and a write is answered, as soon as anybody's is."""
        measured = dict(undo_error(self._trouble))
        try:
            now = _Memory.of(self._server)
            measured |= {
                "limit_after_bytes": now.limit,
                "policy_after": now.policy,
                "evicted_keys_in_all": now.evicted - self._before.evicted,
            }
            as_before = (now.limit, now.policy) == (self._before.limit, self._before.policy)
            # Another fault, such as a failover, may refuse writes until it is over.
            limit_ns = _WRITE_LIMIT_NS if as_before else 0
            proven = (
                until(self._clock, lambda: self._writes(measured), limit_ns, checkpoint)
                and as_before
            )
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        return Proof(proven=proven, measured=measured)

    def _writes(self, measured: dict[str, Scalar]) -> bool:
        wrote = self._server.write()
        measured["write_after"] = str(wrote)
        return wrote == "OK"

    def _set(self, policy: str, limit: int) -> None:
        self._server.set("maxmemory-policy", policy)
        self._server.set("maxmemory", str(limit))

    def _bites(self, measured: dict[str, Scalar]) -> bool:
        wrote = self._server.write()
        read = self._server.answer("EXISTS", READY_KEY)
        now = _Memory.of(self._server)
        evicted = now.evicted - self._before.evicted
        refused = isinstance(wrote, Refusal) and wrote.startswith("OOM")
        measured |= {
            "write": str(wrote),
            "read_answered": isinstance(read, int),
            "used_bytes": now.used,
            "limit_bytes": now.limit,
            "evicted_keys": evicted,
        }
        over = refused and now.used > self._limit
        forgets = self._policy != "noeviction" and evicted > 0
        as_asked = (now.limit, now.policy) == (self._limit, self._policy)
        return as_asked and isinstance(read, int) and (over or forgets)
