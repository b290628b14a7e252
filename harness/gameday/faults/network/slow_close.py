"""Slow close: the end of a connection on an edge arrives late."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.faults.network.measuring import added, close_enough, in_direction, tolerance_ns
from gameday.faults.network.proxy_observer import requirements_of
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics, streams_of
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs

__all__ = ["SlowClose"]

_LEAST_NS = 10 * MILLISECOND
_MOST_NS = 4 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose:
    """Data passes at once, but the close of a connection is delayed.

    Mechanism, both environments: a `slow_close` toxic in each direction asked for.
    Proof: a client that hangs up after an answer sees the other side's end later than on the
    direct way, by the sum over the directions within 10 % or 5 ms (medians of nine). With one
    direction asked for, gameday's own proxy times the service from that hang-up to its own end:
    all but 10 % or 5 ms is added before it ends (upstream), or after (downstream).
    Undo: the toxics are removed, and the same median is below half of what was asked for.
    """

    verb: ClassVar[str] = "slow-close"
    hits: ClassVar[Hits] = "edge"
    example: ClassVar[Example] = Example(parameters={"delay_ns": _LEAST_NS}, decisive=("stream",))
    target: str
    """The edge, such as "relay -> store"."""
    delay_ns: DurationNs
    """For each direction; whole milliseconds, 10ms to 4s."""
    stream: Literal["both", "upstream", "downstream"] = "downstream"

    def __post_init__(self) -> None:
        fits = _LEAST_NS <= self.delay_ns <= _MOST_NS and not self.delay_ns % MILLISECOND
        require(("delay", fits, "10ms to 4s in whole milliseconds"))

    def requirements(self, runtime: str) -> Requirements:
        return requirements_of(self.stream)

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        delay = {"delay": self.delay_ns // MILLISECOND}
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "slow_close", streams_of(self.stream), delay),
            asked={
                "delay_ns": self.delay_ns,
                "stream": self.stream,
                "total_ns": self._total_ns,
            },
            effect=self._effect,
            normal=self._normal,
        )

    @property
    def _total_ns(self) -> int:
        return self.delay_ns * len(streams_of(self.stream))

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        apart = self.stream != "both"
        seen = added(scene, self._total_ns, checkpoint, by_end=True, apart=apart)
        size = Proof(
            proven=close_enough(seen.ns, self._total_ns),
            measured={**seen.as_evidence(), "tolerance_ns": tolerance_ns(self._total_ns)},
        )
        if self.stream == "both":
            return size
        return in_direction(size, seen, self.stream, self.delay_ns)

    def _normal(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        seen = added(scene, 0, checkpoint, by_end=True)
        return Proof(
            proven=seen.ns is not None and seen.ns < self._total_ns // 2,
            measured={"added_after_ns": seen.ns},
        )
