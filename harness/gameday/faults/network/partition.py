"""Partition: services that do not reach each other, and reach all others."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import Dialect, EdgeConnection, Route, Seen
from gameday.api.environment import Checkpoint, Environment, Features
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.api.packets import Networked
from gameday.errors import EnvironmentRefused
from gameday.faults.network.grouping import Direction, Shape, cut_pairs
from gameday.faults.network.partition_backends import (
    DroppedPackets,
    Pair,
    PartitionBackend,
    SilentEdges,
)
from gameday.faults.network.turns import watch_turns
from gameday.faults.recipes.edge_settings import Flapping
from gameday.faults.timing import attempted, first_proven, timed, undo_error
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Edge, Hits
from gameday.model.targeting import groups_of
from gameday.model.units import DurationNs, format_duration
from gameday.runtimes.mechanisms.packets import PACKET_FILTER

__all__ = ["Partition"]

_SILENCE_NS = 300 * MILLISECOND
_ANSWER_LIMIT_NS = 2 * SECOND
_WITNESS_LIMIT_NS = SECOND
_NORMAL_LIMIT_NS = 5 * SECOND
_PAUSE_NS = 20 * MILLISECOND
_LEAST_TURN_NS = 500 * MILLISECOND
_MOST_TURN_NS = 10 * SECOND
_LOOK_LIMIT_NS = 100 * MILLISECOND
_LEAST_TOLERANCE_NS = 200 * MILLISECOND
"""A look at what is down takes its whole limit: so much a change may be seen too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Services on different sides cannot reach each other; connections hang.

    `store` alone is cut off from all other services, `store | relay, listener` names the sides,
    `a, b, c, d` leaves them to the `shape`. The harness's `client` is on no side unless it is
    named. Mechanism: in docker every packet between two services is dropped as it arrives, in
    the network of the one that it is for; in process the proxies of the edges between the sides
    swallow what comes. Proof: who reaches whom is as planned, pair by pair, and connections
    from before are silent, while every service that is cut off answers directly. Undo: the rules
    or toxics are gone, and everybody reaches everybody.
    """

    verb: ClassVar[str] = "partition"
    hits: ClassVar[Hits] = "services"
    example: ClassVar[Example] = Example(decisive=("direction",))
    target: str
    """One service, the sides `a | b, c`, or a list that the shape divides."""
    shape: Shape = "groups"
    """How a list is divided: halves (the first half, the smaller one, against the rest), ring
    (each reaches its two neighbours only), bridge (two halves that reach only the one in the
    middle), isolated (nobody reaches anybody)."""
    direction: Direction = "both"
    """For two sides: traffic to the first (in), traffic from it (out), or both."""
    down_ns: DurationNs = 0
    """With `up`: it comes and goes, beginning with a cut of this length; 500ms to 10s each."""
    up_ns: DurationNs = 0

    def __post_init__(self) -> None:
        self.pairs()
        turns = bool(self.down_ns or self.up_ns)
        span = f"{format_duration(_LEAST_TURN_NS)} to {format_duration(_MOST_TURN_NS)}"
        wanted = f"{span}, or both down and up left out"
        require(
            ("down", not turns or _LEAST_TURN_NS <= self.down_ns <= _MOST_TURN_NS, wanted),
            ("up", not turns or _LEAST_TURN_NS <= self.up_ns <= _MOST_TURN_NS, wanted),
        )

    def pairs(self) -> frozenset[Pair]:
        """Return who does not hear whom."""
        return cut_pairs(self.target, self.shape, self.direction)

    def requirements(self, runtime: str) -> Requirements:
        if runtime == "docker":
            return Requirements(mechanisms=(PACKET_FILTER,))
        # One way cannot be told from both without a proxy that counts.
        return Requirements(features=Features(own_proxy=self.direction != "both"))

    def on(self, environment: Environment) -> Injection:
        return _Partitioning(self, environment)


class _Partitioning:
    """One partition: who reaches whom is measured before it counts and after it is undone."""

    def __init__(self, fault: Partition, environment: Environment) -> None:
        self._clock = environment.clock
        self._fault = fault
        self._pairs = fault.pairs()
        members = {name for group in groups_of(fault.target) for name in group}
        self._environment = environment
        self._dialects: dict[Edge, Dialect] = {}
        for edge in environment.edges:
            dialect = environment.edge(edge).dialect
            if dialect is not None and members.issuperset((edge.client, edge.service)):
                self._dialects[edge] = dialect
        self._backend: PartitionBackend
        if isinstance(environment, Networked):
            self._backend = DroppedPackets(environment, self._pairs, members)
        else:
            self._backend = SilentEdges(environment, self._pairs)
            if not any(_parted(edge, self._pairs) for edge in self._dialects):
                raise EnvironmentRefused(
                    f"partition of {fault.target}: in {environment.runtime} services are kept "
                    "apart on their connections, and between these sides is none to measure"
                )
        self._flapping: Flapping | None = None
        if fault.down_ns:
            self._flapping = Flapping(
                self._clock,
                self._backend.put,
                self._backend.lift,
                undo_text=self._backend.undo_text,
                down_ns=fault.down_ns,
                up_ns=fault.up_ns,
            )
            if not any(_parted(edge, self._pairs) for edge in self._dialects):
                raise EnvironmentRefused(
                    f"partition of {fault.target}: between these sides is no connection by which "
                    "its coming and going could be measured"
                )
        self._witnesses: dict[Edge, EdgeConnection] = {}
        self._trouble = ""
        self.undo_text = (self._flapping or self._backend).undo_text

    @property
    def asked(self) -> Mapping[str, Scalar]:
        fault = self._fault
        return {
            "shape": fault.shape,
            "direction": fault.direction,
            "pairs_cut": len(self._pairs),
            **({"down_ns": fault.down_ns, "up_ns": fault.up_ns} if fault.down_ns else {}),
        }

    def inject(self) -> Window:
        cut = [edge for edge in self._dialects if _parted(edge, self._pairs)]
        with ThreadPoolExecutor(len(cut) or 1) as pool:
            lines = pool.map(self._witness, cut)
            self._witnesses = {e: line for e, line in zip(cut, lines, strict=True) if line}
        return timed(self._clock, (self._flapping or self._backend).put)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        turns = self._flapping is not None
        return first_proven(
            lambda: self._look_at_turns(checkpoint) if turns else self._look(),
            checkpoint,
        )

    def is_active(self) -> Proof:
        """All of it is in place; what comes and goes still does."""
        if self._flapping is not None:
            return self._flapping.goes_on_still()
        return self._backend.is_active()

    def undo(self) -> Window:
        window, self._trouble = attempted(self._clock, (self._flapping or self._backend).lift)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Nothing of it is in any network or proxy, and everybody reaches everybody."""
        measured = dict(undo_error(self._trouble))
        give_up_ns = self._clock.now_ns() + _NORMAL_LIMIT_NS
        try:
            left = self._backend.left()
            if self._flapping is not None and self._flapping.goes_on:
                left = (*left, "the thread that flaps does not end")
            while True:
                wrong = self._differences(frozenset(), self._backend.reach())
                if not wrong or self._clock.now_ns() > give_up_ns:
                    break
                self._clock.sleep_ns(_PAUSE_NS)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        finally:
            for line in self._witnesses.values():
                line.close()
        measured |= {"left": ", ".join(left) or "none", "out_of_reach": ", ".join(wrong) or "none"}
        return Proof(proven=not left and not wrong, measured=measured)

    def _look(self) -> Proof:
        """Measure who reaches whom, the connections from before, and the services directly."""
        reach = self._backend.reach()
        wrong = self._differences(self._pairs, reach)
        silent = self._silent_witnesses()
        cut = [edge for edge in self._dialects if _parted(edge, self._pairs)]
        directly = [self._greets_directly(edge) for edge in cut]
        dropped, counts = self._backend.counted()
        return Proof(
            # A connection that was silent before is no work of this partition.
            proven=not wrong and sum(silent) == len(cut) and all(directly) and dropped,
            measured={
                "not_as_planned": ", ".join(wrong) or "none",
                **_reached(reach),
                "connections_cut": len(cut),
                "connections_left": len(self._dialects) - len(cut),
                "open_connections_silent": sum(silent),
                "open_connections": len(silent),
                "direct": "answered" if all(directly) else "silent",
                "silence_ns": _SILENCE_NS,
                **counts,
            },
        )

    def _witness(self, edge: Edge) -> EdgeConnection | None:
        """Return a connection that was answered before the partition; None: there is none."""
        line = self._backend.open(edge, _WITNESS_LIMIT_NS)
        logged_in = line.opened is Seen.ANSWERED
        greeting = self._dialects[edge].greeting
        if logged_in and line.ask(greeting, _WITNESS_LIMIT_NS).seen is Seen.ANSWERED:
            return line
        line.close()
        return None

    def _silent_witnesses(self) -> list[bool]:
        """Tell of each connection from before whether it hears nothing."""

        def is_silent(edge: Edge) -> bool:
            asked = self._witnesses[edge].ask(self._dialects[edge].greeting, _SILENCE_NS)
            return asked.seen is Seen.SILENT

        with ThreadPoolExecutor(len(self._witnesses) or 1) as pool:
            return list(pool.map(is_silent, self._witnesses))

    def _look_at_turns(self, checkpoint: Checkpoint) -> Proof:
        """Every connection between the sides is silent and answered in turns, the others never."""
        cut = [edge for edge in self._dialects if _parted(edge, self._pairs)]

        def watch(edge: Edge) -> Proof:
            return watch_turns(
                self._clock,
                lambda: self._greet(edge, _LOOK_LIMIT_NS) is Seen.ANSWERED,
                down_ns=self._fault.down_ns,
                up_ns=self._fault.up_ns,
                least_tolerance_ns=_LEAST_TOLERANCE_NS,
                checkpoint=lambda: None,
            )

        with ThreadPoolExecutor(len(cut)) as pool:
            proofs = list(pool.map(watch, cut))
        checkpoint()
        others = [self._greet(edge, _ANSWER_LIMIT_NS) for edge in self._dialects if edge not in cut]
        directly = all(self._greets_directly(edge) for edge in cut)
        seen = next((proof for proof in proofs if not proof.proven), proofs[0])
        return Proof(
            proven=all(proof.proven for proof in proofs)
            and all(one is Seen.ANSWERED for one in others)
            and directly,
            measured={
                **seen.measured,
                "connections_cut": len(cut),
                "connections_left": others.count(Seen.ANSWERED),
                "direct": "answered" if directly else "silent",
            },
        )

    def _differences(self, cut: frozenset[Pair], reach: Mapping[Pair, bool | None]) -> list[str]:
        """Return each pair and each connection that does what `cut` does not say."""
        wrong = [
            f"{sender} to {receiver}"
            for (sender, receiver), reached in reach.items()
            if reached is not ((sender, receiver) not in cut)
        ]
        if not self._dialects:
            return wrong

        def greet(edge: Edge) -> Seen:
            return self._greet(edge, _SILENCE_NS if _parted(edge, cut) else _ANSWER_LIMIT_NS)

        with ThreadPoolExecutor(len(self._dialects)) as pool:
            heard = dict(zip(self._dialects, pool.map(greet, self._dialects), strict=True))
        for edge, seen in heard.items():
            if seen is not (Seen.SILENT if _parted(edge, cut) else Seen.ANSWERED):
                wrong.append(f"{edge} is {seen.value}")
        return wrong

    def _greet(self, edge: Edge, limit_ns: int) -> Seen:
        return self._ask(self._backend.open(edge, limit_ns), edge, limit_ns)

    def _greets_directly(self, edge: Edge) -> bool:
        line = self._environment.edge(edge).open(Route.UPSTREAM, _ANSWER_LIMIT_NS)
        return self._ask(line, edge, _ANSWER_LIMIT_NS) is Seen.ANSWERED

    def _ask(self, line: EdgeConnection, edge: Edge, limit_ns: int) -> Seen:
        try:
            if line.opened is not Seen.ANSWERED:
                return line.opened
            return line.ask(self._dialects[edge].greeting, limit_ns).seen
        finally:
            line.close()


def _parted(edge: Edge, cut: frozenset[Pair]) -> bool:
    """Tell whether an edge has its ends on two sides: one way is enough to silence it."""
    return (edge.client, edge.service) in cut or (edge.service, edge.client) in cut


def _reached(reach: Mapping[Pair, bool | None]) -> Mapping[str, Scalar]:
    """Return how many pairs were measured each way, where packets can be sent."""
    if not reach:
        return {}
    heard = list(reach.values())
    return {"pairs_silent": heard.count(False), "pairs_heard": heard.count(True)}
