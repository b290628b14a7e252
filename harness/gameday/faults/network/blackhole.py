"""Blackhole: an edge that accepts and never answers."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.environment.edge_protocol import Seen
from gameday.environment.protocol import Checkpoint, Environment
from gameday.faults.network.injection import NO_WITNESS, EdgeInjection, Scene, scene_of
from gameday.faults.network.measuring import answered_again, greet, greet_directly
from gameday.faults.network.settings import Toxics, streams_of
from gameday.faults.protocol import Injection, Proof
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import Hits

__all__ = ["Blackhole", "silence"]

_TRIES = 3
_SILENCE_NS = 300 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackhole:
    """An edge accepts connections and swallows what is sent: no answer, no error.

    With `stream: downstream` the service gets every request and does its work, and only its
    answers are lost. Mechanism, both environments: a `timeout` toxic that never ends, in each
    direction asked for. Proof: three new connections, and one from before, are accepted and get
    no answer within 300 ms while the service answers directly. Undo: the toxics are removed,
    and three greetings are answered; connections that lost bytes are closed, never resumed.
    """

    verb: ClassVar[str] = "blackhole"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> redis"."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "timeout", streams_of(self.stream), {"timeout": 0}),
            asked={"stream": self.stream},
            effect=silence,
            normal=answered_again,
        )


def silence(scene: Scene, checkpoint: Checkpoint) -> Proof:
    """Connections are accepted and hear nothing, while the service answers directly."""
    seen = [greet(scene, _SILENCE_NS).seen for _ in range(_TRIES)]
    directly = greet_directly(scene).seen
    witness = scene.witness_asked(_SILENCE_NS)
    silent = seen.count(Seen.SILENT)
    return Proof(
        proven=silent == _TRIES and directly is Seen.ANSWERED and witness is Seen.SILENT,
        measured={
            "connections": _TRIES,
            "silent": silent,
            "silence_ns": _SILENCE_NS,
            "open_connection": witness or NO_WITNESS,
            "direct": directly.value,
        },
    )
