"""Reset: connections on an edge break with a RST."""

from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import Seen
from gameday.api.environment import Checkpoint, Environment, Features
from gameday.api.fault import Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.network.measuring import answered_again, greet, greet_directly
from gameday.faults.recipes.edge import NO_WITNESS, EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics
from gameday.model.scenario import Hits

__all__ = ["Reset"]

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Open connections are reset, and every new one at its first request.

    Mechanism, both environments: a `reset_peer` toxic of gameday's own proxy, upstream, for
    Toxiproxy lets open connections be. Proof: three new connections, and one from before, end
    with ECONNRESET, not with an end of stream, and the service answers directly. Undo: the toxic
    is removed, and three greetings are answered.
    """

    verb: ClassVar[str] = "reset"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> store"."""

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(features=Features(own_proxy=True))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb, bare=True)
        if not scene.edge.resets_open:
            raise EnvironmentRefused(
                f"{self.verb} on {self.target}: {environment.proxy} does not reset open connections"
            )
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "reset_peer", ("upstream",), {"timeout": 0}),
            asked={"connections": "open and new"},
            effect=self._effect,
            normal=answered_again,
        )

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        seen = [greet(scene).seen for _ in range(_TRIES)]
        directly = greet_directly(scene).seen
        witness = scene.witness_ended()
        resets = seen.count(Seen.RESET)
        return Proof(
            proven=resets == _TRIES and directly is Seen.ANSWERED and witness is Seen.RESET,
            measured={
                "connections": _TRIES,
                "resets": resets,
                "seen": seen[-1].value,
                "open_connection": witness or NO_WITNESS,
                "direct": directly.value,
            },
        )
