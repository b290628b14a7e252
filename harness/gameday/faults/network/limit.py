"""Byte limit: connections on an edge end after so many bytes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.edge import Route, Seen
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.faults.network.measuring import ANSWER_LIMIT_NS, answered_again
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics
from gameday.model.clock import SECOND
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import SizeBytes

__all__ = ["ByteLimit"]

_LEAST = 500
_MOST = 1_000_000
_STEPS = 50
_LIMIT_NS = 10 * SECOND
_ENDS = (Seen.CLOSED, Seen.RESET)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteLimit:
    """Every connection ends after this many bytes, in the middle of a message.

    Mechanism, both environments: a `limit_data` toxic; a connection from before counts from
    when the fault came in. Proof: downstream, an answer of twice as many bytes through the
    front breaks off at 90 % to 100 % of the limit, and comes whole on the direct way; upstream,
    a connection on which small questions follow each other ends at the limit within 25 %, and
    not when it is their answers that have come to it within 2 %.
    Undo: the toxic is removed, and the same answer or questions pass.
    """

    verb: ClassVar[str] = "byte-limit"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> store"."""
    after_bytes: SizeBytes
    """500B to 1MB."""
    stream: Literal["upstream", "downstream"] = "downstream"

    def __post_init__(self) -> None:
        require(("after", _LEAST <= self.after_bytes <= _MOST, "500B to 1MB"))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb, copious=True)
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "limit_data", (self.stream,), {"bytes": self.after_bytes}),
            asked={"after_bytes": self.after_bytes, "stream": self.stream},
            effect=self._effect,
            normal=self._normal,
        )

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        if self.stream == "upstream":
            sent, answered, ended = self._sent(scene)
            near = abs(sent - self.after_bytes) <= self.after_bytes // 4
            # Answers about as long as their questions reach a limit of theirs about as soon.
            theirs = abs(answered - self.after_bytes) <= self.after_bytes // _STEPS
            return Proof(
                proven=ended in _ENDS and near and not theirs,
                measured={"sent_bytes": sent, "answered_bytes": answered, "seen": ended.value},
            )
        received, ended = self._received(scene, Route.PROXIED)
        directly, _ = self._received(scene, Route.UPSTREAM)
        limit = self.after_bytes
        return Proof(
            proven=ended in _ENDS and limit * 9 // 10 <= received <= limit < directly,
            measured={
                "received_bytes": received,
                "direct_bytes": directly,
                "seen": ended.value,
            },
        )

    def _normal(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        if self.stream == "upstream":
            sent, _, ended = self._sent(scene)
            passed = ended is Seen.ANSWERED and sent > self.after_bytes
            return Proof(proven=passed, measured={"sent_after_bytes": sent})
        answered = answered_again(scene, checkpoint)
        received, _ = self._received(scene, Route.PROXIED)
        return Proof(
            proven=answered.proven and received > self.after_bytes,
            measured={**answered.measured, "received_after_bytes": received},
        )

    def _received(self, scene: EdgeScene, route: Route) -> tuple[int, Seen]:
        """Ask for twice the limit; a login counts, as it does for whoever holds the limit."""
        line = scene.edge.open(route, ANSWER_LIMIT_NS)
        try:
            received, seen = line.opening.received, line.opened
            if seen is Seen.ANSWERED:
                question = scene.copious.download(2 * self.after_bytes)
                heard = line.ask(question, _LIMIT_NS, to_the_end=True)
                received, seen = received + heard.received, heard.seen
        finally:
            line.close()
        return received, seen

    def _sent(self, scene: EdgeScene) -> tuple[int, int, Seen]:
        """Ask in steps of 2 % of the limit until the line ends, or twice the limit is sent.

        Return what was sent and answered, how long the answers were, and how it ended.
        """
        greeting = scene.dialect.greeting
        question = greeting * max(1, self.after_bytes // _STEPS // len(greeting))
        line = scene.edge.open(Route.PROXIED, ANSWER_LIMIT_NS)
        sent, answered, seen = line.opening_sent, line.opening.received, line.opened
        try:
            while seen is Seen.ANSWERED and sent < 2 * self.after_bytes:
                heard = line.ask(question, ANSWER_LIMIT_NS)
                seen = heard.seen
                answered += heard.received
                sent += len(question) if seen is Seen.ANSWERED else 0
        finally:
            line.close()
        return sent, answered, seen
