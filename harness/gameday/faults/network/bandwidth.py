"""Bandwidth: an edge carries so many bytes a second, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from gameday.api.edge import Heard, Route, Seen, Stream
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.faults.network.blackhole import silence
from gameday.faults.network.measuring import answered_again, say
from gameday.faults.network.proxy_observer import requirements_of
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics, streams_of
from gameday.model.clock import SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import BytesPerS

__all__ = ["Bandwidth"]

_KILOBYTE = 1000
_MOST_PER_S = 2_000_000
_LEAST_PAYLOAD = 2_000
_TOLERANCE = 0.25
_MARGIN = 1.5
_PAYLOAD_LIMIT_NS = 15 * SECOND
_LATE_LIMIT_NS = 2 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """The throughput of a connection is limited; at 0 it stalls. Nothing is lost.

    Mechanism, both environments: a `bandwidth` toxic in each direction asked for.
    Proof: half a second's worth of bytes, but at least 2 kB, through the front in each of these
    directions runs at that rate within 25 %, and on the direct way at least half as fast again.
    At 0: as for a blackhole, three connections are accepted and get no answer within 300 ms, and
    of one direction gameday's own proxy has their answers (downstream), or has not (upstream).
    Undo: the toxics are removed, and the same bytes pass half as fast again as was asked for;
    after a stall an open connection gets the answer that waited (`open_connection_after`).
    """

    verb: ClassVar[str] = "bandwidth"
    hits: ClassVar[Hits] = "edge"
    example: ClassVar[Example] = Example(parameters={"rate_bytes_per_s": 0}, decisive=("stream",))
    target: str
    """The edge, such as "relay -> store"."""
    rate_bytes_per_s: BytesPerS
    """For each direction of each connection: whole kB/s up to 2MB/s; 0kB/s is a stall."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def __post_init__(self) -> None:
        short = "at most 2MB/s: more cannot be told from no limit by a short proof"
        require(
            ("rate", not self.rate_bytes_per_s % _KILOBYTE, "whole kB/s"),
            ("rate", self.rate_bytes_per_s <= _MOST_PER_S, short),
        )

    def requirements(self, runtime: str) -> Requirements:
        # A rate is measured in its direction; a stall has none.
        return Requirements() if self.rate_bytes_per_s else requirements_of(self.stream)

    def on(self, environment: Environment) -> Injection:
        stalls = self.rate_bytes_per_s == 0
        scene = scene_of(environment, self.target, self.verb, copious=not stalls)
        rate = {"rate": self.rate_bytes_per_s // _KILOBYTE}
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "bandwidth", streams_of(self.stream), rate),
            asked={"rate_bytes_per_s": self.rate_bytes_per_s, "stream": self.stream},
            effect=partial(silence, stream=self.stream) if stalls else self._effect,
            normal=_flows_again if stalls else self._normal,
        )

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        proven = True
        measured: dict[str, Scalar] = {"tolerance_ratio": _TOLERANCE}
        asked = self.rate_bytes_per_s
        for stream in streams_of(self.stream):
            checkpoint()
            front = self._rate(scene, Route.PROXIED, stream)
            direct = self._rate(scene, Route.UPSTREAM, stream)
            measured |= {
                f"{stream}_bytes_per_s": front,
                f"{stream}_direct_bytes_per_s": direct,
            }
            # Where the service itself is no faster, the link was not what held the bytes back.
            proven &= abs(front - asked) <= _TOLERANCE * asked and direct >= _MARGIN * asked
        return Proof(proven=proven, measured=measured)

    def _normal(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        after: Mapping[str, int] = {
            f"{stream}_bytes_per_s_after": self._rate(scene, Route.PROXIED, stream)
            for stream in streams_of(self.stream)
        }
        return Proof(
            proven=all(rate >= _MARGIN * self.rate_bytes_per_s for rate in after.values()),
            measured=after,
        )

    def _rate(self, scene: EdgeScene, route: Route, stream: Stream) -> int:
        """Return the bytes per second of one exchange; 0 if it did not come to its end."""
        size = max(self.rate_bytes_per_s // 2, _LEAST_PAYLOAD)
        dialect = scene.copious
        question = dialect.upload(size) if stream == "upstream" else dialect.download(size)
        heard: Heard = say(scene, route, question, _PAYLOAD_LIMIT_NS, to_the_end=True)
        if heard.seen is not Seen.CLOSED or not heard.last_ns:
            return 0
        carried = len(question) if stream == "upstream" else heard.received
        return carried * SECOND // heard.last_ns


def _flows_again(scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
    """The stall is over; what an open connection was told meanwhile had waited, not gone."""
    answered = answered_again(scene, checkpoint)
    if scene.witness is None:
        return answered
    late = scene.witness.listen(_LATE_LIMIT_NS).seen
    measured = {**answered.measured, "open_connection_after": late.value}
    return Proof(proven=answered.proven, measured=measured)
