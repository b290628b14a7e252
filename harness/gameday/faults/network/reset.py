"""Reset: connections on an edge break with a RST."""

from dataclasses import dataclass
from typing import ClassVar

from gameday.environment.edge_protocol import Seen
from gameday.environment.protocol import Checkpoint, Environment
from gameday.faults.network.injection import EdgeInjection, Scene, scene_of
from gameday.faults.network.measuring import answered_again, greet, greet_directly
from gameday.faults.network.settings import Toxics
from gameday.faults.protocol import Injection, Proof
from gameday.model.scenario import Hits

__all__ = ["Reset"]

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Open connections on an edge break, and every new one is reset at its first request.

    Mechanism: a `reset_peer` toxic upstream. gameday's own proxy resets open connections at
    once. Toxiproxy lets idle ones be and ends others in order, so there the proxy is disabled
    and enabled again: open connections get an orderly end (`open_connection: closed`), and only
    new ones a reset. Proof: three new connections end with ECONNRESET, not with an end of
    stream, one from before has ended (own proxy: by a reset), and the service answers directly.
    Undo: the toxic is removed, and three greetings are answered.
    """

    verb: ClassVar[str] = "reset"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> redis"."""

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb, bare=True)
        cut_open = not scene.edge.resets_open
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "reset_peer", ("upstream",), {"timeout": 0}, cut_open=cut_open),
            asked={"connections": "open and new"},
            effect=self._effect,
            normal=answered_again,
        )

    def _effect(self, scene: Scene, checkpoint: Checkpoint) -> Proof:
        seen = [greet(scene).seen for _ in range(_TRIES)]
        directly = greet_directly(scene).seen
        witness = scene.witness_ended()
        ends = {Seen.RESET} if scene.edge.resets_open else {Seen.RESET, Seen.CLOSED}
        resets = seen.count(Seen.RESET)
        return Proof(
            proven=resets == _TRIES
            and directly is Seen.ANSWERED
            and (witness is None or witness in ends),
            measured={
                "connections": _TRIES,
                "resets": resets,
                "seen": seen[-1].value,
                "open_connection": witness,
                "direct": directly.value,
            },
        )
