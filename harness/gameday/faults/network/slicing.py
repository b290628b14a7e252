"""Slicer: data of an edge arrives in small pieces."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.edge import Route
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.faults.network.measuring import say
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics
from gameday.model.clock import MICROSECOND, MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs, SizeBytes

__all__ = ["Slice"]

_PIECES = 60
_LEAST_PAYLOAD = 500
_MOST_SIZE = 10_000
_MOST_DELAY_NS = 100 * MILLISECOND
_LIMIT_NS = 30 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Data on a connection is cut into small pieces with a pause after each; nothing is lost.

    Finds readers that take one read for one message. Mechanism, both environments: a `slicer`
    toxic. Proof: some sixty pieces' worth of bytes take so many pauses longer than on the direct
    way: not less than 80 % of them, not more than three times as many (Toxiproxy cuts by halving,
    so that its pieces are down to half as long); downstream, the median read is no longer than
    a piece. Undo: the toxic is removed, and the same bytes take less than half of these pauses.
    """

    verb: ClassVar[str] = "slice"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> store"."""
    size_bytes: SizeBytes
    """The size of a piece, 1B to 10kB."""
    variation_bytes: SizeBytes = 0
    """By how much the size varies; less than the size."""
    delay_ns: DurationNs = MILLISECOND
    """The pause after each piece, 1ms to 100ms."""
    stream: Literal["upstream", "downstream"] = "downstream"

    def __post_init__(self) -> None:
        varies = self.size_bytes == 0 or self.variation_bytes < self.size_bytes
        require(
            ("size", 1 <= self.size_bytes <= _MOST_SIZE, "1B to 10kB"),
            ("variation", varies, "less than the size"),
            ("delay", MILLISECOND <= self.delay_ns <= _MOST_DELAY_NS, "1ms to 100ms"),
        )

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb, copious=True)
        attributes = {
            "average_size": self.size_bytes,
            "size_variation": self.variation_bytes,
            "delay": self.delay_ns // MICROSECOND,
        }
        asked: Mapping[str, Scalar] = {
            "size_bytes": self.size_bytes,
            "variation_bytes": self.variation_bytes,
            "delay_ns": self.delay_ns,
            "stream": self.stream,
        }
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "slicer", (self.stream,), attributes),
            asked=asked,
            effect=self._effect,
            normal=self._normal,
        )

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        extra_ns, carried, read = self._extra(scene)
        longest = self.size_bytes + self.variation_bytes
        least_ns = carried // longest * self.delay_ns
        most_ns = (carried // self.size_bytes + 1) * self.delay_ns * 3
        short = self.stream == "upstream" or 0 < read <= longest
        return Proof(
            proven=carried > 0 and least_ns * 8 // 10 <= extra_ns <= most_ns and short,
            measured={
                "bytes": carried,
                "added_ns": extra_ns,
                "added_least_ns": least_ns * 8 // 10,
                "added_most_ns": most_ns,
                "median_read_bytes": None if self.stream == "upstream" else read,
            },
        )

    def _normal(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        extra_ns, carried, _ = self._extra(scene)
        least_ns = carried // (self.size_bytes + self.variation_bytes) * self.delay_ns
        return Proof(
            proven=carried > 0 and extra_ns < least_ns // 2,
            measured={"added_after_ns": extra_ns, "bytes_after": carried},
        )

    def _extra(self, scene: EdgeScene) -> tuple[int, int, int]:
        """Return what the front adds, for how many bytes, and how long the median read was."""
        size = max(_PIECES * self.size_bytes, _LEAST_PAYLOAD)
        dialect = scene.copious
        question = dialect.upload(size) if self.stream == "upstream" else dialect.download(size)
        direct = say(scene, Route.UPSTREAM, question, _LIMIT_NS, to_the_end=True)
        front = say(scene, Route.PROXIED, question, _LIMIT_NS, to_the_end=True)
        if not front.last_ns or not direct.last_ns:
            return 0, 0, 0
        carried = len(question) if self.stream == "upstream" else front.received
        return front.last_ns - direct.last_ns, carried, round(statistics.median(front.reads))
