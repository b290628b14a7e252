"""Connection flood: an edge is full of connections that say nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import EdgeConnection, EdgeProxy, EdgeState, Route, Seen
from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Example, Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.model.clock import MILLISECOND, SECOND, BackgroundTask, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import RatePerS
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE
from gameday.runtimes.mechanisms.descriptors import open_files

__all__ = ["MOST_CONNECTIONS", "ConnectionFlood"]

MOST_CONNECTIONS = 5000
_LEAST = 10
_MOST_PER_S = 1000
_LONGEST_NS = 60 * SECOND
_OPEN_LIMIT_NS = SECOND
_LATE_LIMIT_NS = 5 * SECOND
_SETTLE_LIMIT_NS = 2 * SECOND
_LOOK_NS = 200 * MILLISECOND
_PAUSE_NS = 20 * MILLISECOND
_ENDS = (Seen.CLOSED, Seen.RESET)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFlood:
    """Many idle connections are opened, logged in where the service requires it.

    Mechanism, both environments: a thread of the harness opens them through the edge's front, at
    a fixed rate, and holds them. Proof: by the kernel's list, the service has accepted as many
    more as are held, within 5 %; these are all that were asked for, or else the service's limit
    bites: it served a new client on the direct way before, and turns one away now. They were
    opened at the rate within 25 % or 1 s. Undo: all are closed, the kernel's list is back where
    it was within a tenth of them, and a new client is served through the front.
    """

    verb: ClassVar[str] = "connection-flood"
    hits: ClassVar[Hits] = "edge"
    conflicts: ClassVar[Conflicts] = Conflicts(holds_connections=True)
    example: ClassVar[Example] = Example(
        parameters={"count": MOST_CONNECTIONS, "rate_per_s": _MOST_PER_S}
    )
    target: str
    """The edge, such as "client -> store"."""
    count: int
    """10 to 5000 connections."""
    rate_per_s: RatePerS = 100.0
    """How many are opened per second: 1/s to 1000/s; all of them within 60 s."""

    def __post_init__(self) -> None:
        most = f"{_LEAST} to {MOST_CONNECTIONS}"
        require(
            ("count", _LEAST <= self.count <= MOST_CONNECTIONS, most),
            ("rate", 1 <= self.rate_per_s <= _MOST_PER_S, f"1/s to {_MOST_PER_S}/s"),
        )
        takes = f"{self.count} connections take {self.takes_ns / SECOND:.0f} s"
        wanted = f"more: {takes}, and at most {_LONGEST_NS // SECOND} s are waited for"
        require(("rate", self.takes_ns <= _LONGEST_NS, wanted))

    @property
    def takes_ns(self) -> int:
        """How long the opening takes."""
        return round((self.count - 1) * SECOND / self.rate_per_s)

    def requirements(self, runtime: str) -> Requirements:
        here = (CONTAINERS_HERE,) if runtime == "docker" else ()
        return Requirements(mechanisms=(open_files(self.count), *here))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        service = environment.service(self.target.rpartition(" -> ")[2])
        crowd = _Crowd(scene.clock, scene.edge, self, service)
        asked: Mapping[str, Scalar] = {"count": self.count, "rate_per_s": self.rate_per_s}
        return EdgeInjection(
            scene,
            crowd,
            asked=asked,
            effect=lambda scene, checkpoint: _effect(scene, crowd, checkpoint),
            normal=lambda scene, checkpoint: _normal(scene, crowd),
        )


class _Crowd:
    """Connections that a thread opens on a schedule, and that are held until they are let go."""

    what = "connections"

    def __init__(
        self, clock: Clock, edge: EdgeProxy, fault: ConnectionFlood, service: Service
    ) -> None:
        self.clock = clock
        self.fault = fault
        self.service = service
        self.before: int | None = None
        """How many the service had; None until something is injected: a dud has none."""
        self.served_before = False
        self.took_ns = 0
        self.most_held = 0
        self._edge = edge
        self._lines: list[EdgeConnection] = []
        self._task: BackgroundTask | None = None
        self.undo_text = f"close the {self.fault.count} connections, which end with the harness"

    def put(self) -> None:
        self.served_before = _serves(self._edge, Route.UPSTREAM)
        self.before = self.service.accepted_connections()
        self._task = self.clock.in_background(self._open(), "flood")

    def lift(self) -> None:
        if self._task is not None:
            self._task.end(_LATE_LIMIT_NS + _OPEN_LIMIT_NS)
        for line in self._lines:
            line.close()
        self._lines.clear()

    def left(self, state: EdgeState) -> tuple[str, ...]:
        if self._opening:
            return ("the thread that opens connections does not end",)
        return (f"{len(self._lines)} connections",) if self._lines else ()

    def is_active(self, state: EdgeState) -> Proof:
        """The other side has ended none of them, or as few as the proof may have missed."""
        most, held = self.most_held, self.held()
        return Proof(proven=held > 0 and most - held <= _missed(most), measured={"held": held})

    def wait(self, checkpoint: Checkpoint) -> None:
        """Wait until all have been tried; a service that hangs ends it, too."""
        while self._opening:
            checkpoint()
            self.clock.sleep_ns(_PAUSE_NS)

    @property
    def _opening(self) -> bool:
        return self._task is not None and self._task.alive()

    def held(self) -> int:
        """Return how many the other side has not ended."""
        held = sum(not line.ended() for line in self._lines)
        self.most_held = max(self.most_held, held)
        return held

    def _open(self) -> Iterator[int]:
        began_ns = self.clock.now_ns()
        give_up_ns = began_ns + self.fault.takes_ns * 5 // 4 + _LATE_LIMIT_NS
        for number in range(self.fault.count):
            yield began_ns + round(number * SECOND / self.fault.rate_per_s)
            if self.clock.now_ns() > give_up_ns:
                return
            line = self._edge.open(Route.PROXIED, _OPEN_LIMIT_NS)
            if line.opened is Seen.ANSWERED:
                self._lines.append(line)
            else:
                line.close()
        self.took_ns = self.clock.now_ns() - began_ns


def _effect(scene: EdgeScene, crowd: _Crowd, checkpoint: Checkpoint) -> Proof:
    crowd.wait(checkpoint)
    fault = crowd.fault
    clock = scene.clock
    give_up_ns = clock.now_ns() + _SETTLE_LIMIT_NS
    while True:
        checkpoint()
        held, accepted = crowd.held(), crowd.service.accepted_connections() - (crowd.before or 0)
        counted = held > 0 and abs(accepted - held) <= _missed(held)
        if counted or crowd.before is None or clock.now_ns() > give_up_ns:
            break
        clock.sleep_ns(_PAUSE_NS)
    whole = held == fault.count
    serves = whole or _serves(scene.edge, Route.UPSTREAM)
    late_ns = abs(crowd.took_ns - fault.takes_ns)
    return Proof(
        proven=counted
        and (whole or (crowd.served_before and not serves))
        and late_ns <= max(fault.takes_ns // 4, SECOND),
        measured={
            "held": held,
            "accepted_by_service": accepted,
            "before": crowd.before,
            "limit": "not reached" if whole else "served" if serves else "turned away",
            "opening_ns": crowd.took_ns,
        },
    )


def _missed(count: int) -> int:
    """Return how many of so many connections a count may be wrong by, for others come and go."""
    return max(2, count // 20)


def _normal(scene: EdgeScene, crowd: _Crowd) -> Proof:
    served = _serves(scene.edge, Route.PROXIED)
    try:
        after = crowd.service.accepted_connections()
    except EnvironmentRefused as error:
        return Proof(proven=False, measured={"error_after": str(error)})
    more = 0 if crowd.before is None else after - crowd.before
    # Others come and go meanwhile; never as many as would hide the flood.
    gone = more <= min(max(2, crowd.most_held // 10), max(0, crowd.most_held - 1))
    return Proof(
        proven=served and gone,
        measured={"connections_after": after, "served_after": served},
    )


def _serves(edge: EdgeProxy, route: Route) -> bool:
    """Tell whether a new client is answered, and not shown out with that answer."""
    line = edge.open(route, _OPEN_LIMIT_NS)
    try:
        if line.opened is not Seen.ANSWERED or edge.dialect is None:
            return False
        if line.ask(edge.dialect.greeting, _OPEN_LIMIT_NS).seen is not Seen.ANSWERED:
            return False
        return line.listen(_LOOK_NS).seen not in _ENDS
    finally:
        line.close()
