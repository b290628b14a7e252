"""Slow consumer: a subscriber that reads too slowly, or not at all, and the server has to keep."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar, Literal

from gameday.api.environment import Checkpoint, Endpoint, Environment
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import timed, until
from gameday.model.clock import MILLISECOND, MINUTE, SECOND, BackgroundTask, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import CLIENT, Edge, Hits
from gameday.model.units import BytesPerS
from gameday.technologies.redis import connection as lines
from gameday.technologies.redis.connection import RedisConnection
from gameday.technologies.redis.server import RedisServer, asked, text_of

__all__ = ["SlowConsumer"]

_MOST_BYTES_PER_S = 1_000_000
_TURNS_PER_S = 20
_MOST_OWED = 4
_READING_LIMIT_NS = 10 * MINUTE
_JOIN_LIMIT_NS = 5 * SECOND

_RECEIVE_BYTES = 4_096
"""What its kernel takes in at least. With much more, the server's takes ever more as well."""
_FILLER = "x" * 64 * 1024
_FILL_LIMIT_NS = 10 * SECOND
_SETTLED_NS = 100 * MILLISECOND
"""What the kernels still take is taken in that time; an acknowledgement waits up to 40 ms."""
_BLOCK_BYTES = 20_504
"""What the server keeps is counted in blocks of at least that much, each filled before the next."""

_LEAST_BYTES = 6 * _BLOCK_BYTES
_ATTEMPTS = 3
_TRAFFIC_LIMIT_NS = 15 * SECOND
_GONE_LIMIT_NS = 10 * SECOND
_SKIM_BYTES = 1024 * 1024
_PAUSE_NS = 5 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowConsumer:
    """A subscriber reads slowly or not at all, and the server buffers what it does not read.

    Mechanism: a connection of the harness with a small receive buffer. What lies between, in the
    kernels and a proxy, is filled first with messages that only it gets. Proof: a second
    subscriber counts what is published on the channel, until that is 123 kB more than the slow one
    reads; what the server keeps for it has grown by as much, within 25 % and two blocks of 20 kB,
    and what it reads is the rate within 25 %. Undo: the connection is closed, and the server does
    not list it any more.
    """

    verb: ClassVar[str] = "slow-consumer"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis", "redis-replica"})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True, holds_connections=True)
    target: str
    """The Redis server."""
    channel: str
    """The channel; another client must publish on it meanwhile."""
    rate_bytes_per_s: BytesPerS = 0
    """How fast it reads, 1kB/s to 1MB/s; 0kB/s: not at all."""
    through: Literal["direct", "front"] = "direct"
    """`direct`: past the proxy of `client -> target`; `front`: through it."""

    def __post_init__(self) -> None:
        rate = self.rate_bytes_per_s
        in_turns = f"a multiple of {_TURNS_PER_S}B/s, such as 1kB/s: it reads 20 times a second"
        require(
            ("rate", rate <= _MOST_BYTES_PER_S, "at most 1MB/s"),
            ("rate", rate % _TURNS_PER_S == 0, in_turns),
            ("channel", bool(self.channel), "the name of a channel"),
        )

    def on(self, environment: Environment) -> Injection:
        server = RedisServer(environment, self.target)
        return _Consuming(server, self, _address(environment, self.target, self.through))


def _address(environment: Environment, service: str, through: str) -> Endpoint:
    """Return where the consumer connects: with nothing in between if that can be had."""
    edge = environment.edge(Edge(client=CLIENT, service=service))
    return edge.proxied if through == "front" else edge.upstream


class _Reader:
    """Takes what is there at a rate, in a thread that is bounded in time; at 0 there is none."""

    def __init__(self, clock: Clock, line: RedisConnection, rate_bytes_per_s: int) -> None:
        self._clock = clock
        self._line = line
        self._portion = rate_bytes_per_s // _TURNS_PER_S
        self._task: BackgroundTask | None = None
        self.taken = 0
        """How many bytes it has read."""

    def start(self) -> None:
        if self._portion:
            self._task = self._clock.in_background(self._read_on(), "slow-consumer")

    @property
    def goes_on(self) -> bool:
        """Whether it does what it is to do; to read nothing takes no thread."""
        return not self._portion or self._reads()

    def stop(self) -> bool:
        """End the reading; tell whether it has ended."""
        if self._task is not None:
            self._task.end(_JOIN_LIMIT_NS)
        return not self._reads()

    def _reads(self) -> bool:
        return self._task is not None and self._task.alive()

    def _read_on(self) -> Iterator[int]:
        began_ns, owed = self._clock.now_ns(), 0
        for turn in range(1, _READING_LIMIT_NS * _TURNS_PER_S // SECOND):
            yield began_ns + turn * SECOND // _TURNS_PER_S
            # What was not there is owed, but not for long: a late flood shall not be gulped.
            owed = min(owed + self._portion, _MOST_OWED * self._portion)
            try:
                taken = self._line.skim(owed)
            except EnvironmentRefused:
                return
            owed -= taken
            self.taken += taken


class _Consuming:
    """One slow consumer, from its subscription until the server knows it no more."""

    def __init__(self, server: RedisServer, fault: SlowConsumer, address: Endpoint) -> None:
        self._clock = server.clock
        self._server = server
        self._fault = fault
        self._address = address
        self._private = f"gameday:slow:{token_hex(8)}"
        self._line: RedisConnection | None = None
        self._reader: _Reader | None = None
        self._number: int | None = None
        self._filled = 0
        self._dropped: bool | None = None
        self._run = ""
        """Which start of the server it was."""
        self.undo_text = f"close the subscription to {self._fault.channel}"
        self.asked: Mapping[str, Scalar] = {
            "channel": self._fault.channel,
            "rate_bytes_per_s": self._fault.rate_bytes_per_s,
            "through": self._fault.through,
        }

    def inject(self) -> Window:
        return timed(self._clock, self._subscribe)

    def _subscribe(self) -> None:
        rate = self._fault.rate_bytes_per_s
        self._run = self._server.info("server")["run_id"]
        self._line = lines.dial(
            self._address, self._server.login, max(_RECEIVE_BYTES, 2 * rate // _TURNS_PER_S)
        )
        number = asked(self._line, "CLIENT", "ID")
        assert isinstance(number, int)
        self._number = number
        asked(self._line, "SUBSCRIBE", self._private)
        asked(self._line, "SUBSCRIBE", self._fault.channel)
        self._fill()
        self._reader = _Reader(self._clock, self._line, rate)
        self._reader.start()

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Compare what is published with what the server keeps and what is read."""
        if self._reader is None:
            return Proof(proven=False, measured={"subscribed": False})
        witness = self._server.line()
        try:
            asked(witness, "SUBSCRIBE", self._fault.channel)
            attempt = 0
            while True:
                attempt += 1
                proof = self._compare(self._reader, witness, checkpoint)
                # Where too little is published, a second look would only take its time.
                quiet = int(proof.measured["surplus_bytes"] or 0) < _LEAST_BYTES
                if proof.proven or quiet or attempt == _ATTEMPTS:
                    break
        finally:
            witness.close()
        return Proof(proven=proof.proven, measured={**proof.measured, "attempts": attempt})

    def _compare(self, reader: _Reader, witness: RedisConnection, checkpoint: Checkpoint) -> Proof:
        """Look at both ends for as long as it takes to publish enough."""
        read_before, before = reader.taken, self._kept() or 0
        began_ns = self._clock.now_ns()
        published = read = 0
        while True:
            checkpoint()
            published += witness.skim(_SKIM_BYTES)
            read = reader.taken - read_before
            late = self._clock.now_ns() - began_ns > _TRAFFIC_LIMIT_NS
            if late or published - read >= _LEAST_BYTES:
                break
            self._clock.sleep_ns(_PAUSE_NS)
        took_ns, after = self._clock.now_ns() - began_ns, self._kept()
        surplus = published - read
        measured: dict[str, Scalar] = {
            "published_bytes": published,
            "read_bytes": read,
            "surplus_bytes": surplus,
            "kept_before_bytes": before,
            "kept_bytes": after,
            "filled_bytes": self._filled,
            "proof_took_ns": took_ns,
        }
        if after is None or surplus < _LEAST_BYTES:
            return Proof(proven=False, measured=measured)
        grew = after - before
        measured |= {"kept_more_bytes": grew, "read_bytes_per_s": read * SECOND // took_ns}
        rate = self._fault.rate_bytes_per_s
        near = abs(grew - surplus) <= surplus // 4 + 2 * _BLOCK_BYTES
        at_rate = abs(read - rate * took_ns // SECOND) * 4 <= rate * took_ns // SECOND
        return Proof(proven=near and at_rate, measured=measured)

    def is_active(self) -> Proof:
        """It is listed and reads at its rate, or the server it was subscribed to has dropped it.

        That a server drops who is too slow is how it helps itself, and a finding.
        """
        anew = self._server.info("server")["run_id"] != self._run
        listed = self._kept() is not None
        reads = self._reader is not None and self._reader.goes_on
        return Proof(
            proven=not anew and (reads or not listed),
            measured={"server_started_anew": anew, "listed": listed, "reading": reads},
        )

    def undo(self) -> Window:
        return timed(self._clock, self._leave)

    def _leave(self) -> None:
        if self._number is not None and self._dropped is None:
            with suppress(EnvironmentRefused):
                self._dropped = self._kept() is None
        if self._reader is not None:
            self._reader.stop()
        if self._line is not None:
            self._line.close()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The server lists the consumer no more."""
        stopped = self._reader is None or self._reader.stop()
        measured: dict[str, Scalar] = {"reading": not stopped}
        if self._dropped is not None:
            measured["dropped_by_server"] = self._dropped
        try:
            gone = until(self._clock, lambda: self._kept() is None, _GONE_LIMIT_NS, checkpoint)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        return Proof(proven=gone and stopped, measured={**measured, "listed_after": not gone})

    def _fill(self) -> None:
        """Fill what lies between, so that every further message is the server's to keep."""
        give_up_ns = self._clock.now_ns() + _FILL_LIMIT_NS
        while self._clock.now_ns() < give_up_ns:
            kept = self._kept() or 0
            if kept >= _LEAST_BYTES:
                self._clock.sleep_ns(_SETTLED_NS)
                if (self._kept() or 0) >= kept:
                    return
            self._server.ask("PUBLISH", self._private, _FILLER)
            self._filled += len(_FILLER)

    def _kept(self) -> int | None:
        """Return how many bytes the server keeps for the consumer; None: it lists it not."""
        if self._number is None:
            return None
        listed = text_of(self._server.ask("CLIENT", "LIST", "TYPE", "pubsub"))
        for entry in listed.splitlines():
            if entry.startswith(f"id={self._number} "):
                found = re.search(r"\bomem=(\d+)", entry)
                return int(found[1]) if found else 0
        return None
