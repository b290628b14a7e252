"""Latency: an edge answers later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.environment.protocol import Checkpoint, Environment
from gameday.faults.network.injection import EdgeInjection, Scene, scene_of
from gameday.faults.network.measuring import added, tolerance_ns
from gameday.faults.network.settings import Toxics, streams_of
from gameday.faults.protocol import Injection, Proof
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs

__all__ = ["Latency"]

_LEAST_NS = 10 * MILLISECOND
_MOST_NS = 10 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Data on an edge arrives later, in order; nothing is lost.

    Mechanism, both environments: a `latency` toxic in each direction asked for, each with the
    whole delay. A new connection itself is opened without delay: the proxy accepts it.
    Proof: the median of nine greetings through the front, less that of nine on the direct way,
    is the sum over the directions within 10 % or 5 ms; with a jitter, that much more, and the
    times must differ by a quarter of it. Undo: the toxics are removed, and the same median is
    below half of what was asked for.
    """

    verb: ClassVar[str] = "latency"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> redis"."""
    delay_ns: DurationNs
    """For each direction; whole milliseconds, 10ms to 10s."""
    jitter_ns: DurationNs = 0
    """Uniform, so much to either side, for each piece of data; at most the delay."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def __post_init__(self) -> None:
        if not _LEAST_NS <= self.delay_ns <= _MOST_NS:
            raise ValueError("a latency of less than 10ms or more than 10s cannot be proven")
        if self.delay_ns % MILLISECOND or self.jitter_ns % MILLISECOND:
            raise ValueError("a latency counts whole milliseconds")
        if self.jitter_ns > self.delay_ns:
            raise ValueError("a jitter beyond the delay would have its lower half cut off at zero")

    @property
    def total_ns(self) -> int:
        """What one exchange takes longer, there and back."""
        return self.delay_ns * len(streams_of(self.stream))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        milliseconds = {
            "latency": self.delay_ns // MILLISECOND,
            "jitter": self.jitter_ns // MILLISECOND,
        }
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "latency", streams_of(self.stream), milliseconds),
            asked=self._asked(),
            effect=self._effect,
            normal=self._normal,
        )

    def _asked(self) -> Mapping[str, Scalar]:
        return {
            "delay_ns": self.delay_ns,
            "jitter_ns": self.jitter_ns,
            "stream": self.stream,
            "total_ns": self.total_ns,
        }

    def _effect(self, scene: Scene, checkpoint: Checkpoint) -> Proof:
        seen = added(scene, self.total_ns, checkpoint)
        within_ns = tolerance_ns(self.total_ns) + self.jitter_ns
        varied = self.jitter_ns == 0 or seen.spread_ns >= self.jitter_ns // 4
        return Proof(
            proven=seen.ns is not None and abs(seen.ns - self.total_ns) <= within_ns and varied,
            measured={
                **seen.as_evidence(),
                "spread_ns": seen.spread_ns,
                "tolerance_ns": within_ns,
            },
        )

    def _normal(self, scene: Scene, checkpoint: Checkpoint) -> Proof:
        seen = added(scene, 0, checkpoint)
        return Proof(
            proven=seen.ns is not None and seen.ns < self.total_ns // 2,
            measured={"added_after_ns": seen.ns},
        )
