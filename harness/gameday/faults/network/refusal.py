"""Refusals: an edge whose connections are refused, all the time or in turns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import Seen
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.faults.network.measuring import answered_again, greet, greet_directly
from gameday.faults.network.turns import watch_turns
from gameday.faults.recipes.edge import NO_WITNESS, EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Closed, Flapping
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs, format_duration

__all__ = ["Flap", "Refuse"]

_TRIES = 3
_LEAST_NS = 200 * MILLISECOND
_MOST_NS = 10 * SECOND
_LOOK_LIMIT_NS = 100 * MILLISECOND
_ENDS = (Seen.CLOSED, Seen.RESET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """New connections are refused, and open ones end.

    Mechanism, both environments: the edge's proxy is disabled, so that nothing listens at its
    address. Proof: three connects to the front are refused (where only a published port can be
    reached: accepted by the engine's forwarder and ended without an answer), a connection from
    before has ended, and the service answers directly. Undo: the proxy is enabled, reads back
    as enabled, and three greetings over new connections are answered.
    """

    verb: ClassVar[str] = "refuse"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> store"."""

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        return EdgeInjection(
            scene, Closed(scene.edge), asked={}, effect=self._effect, normal=answered_again
        )

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        refusals = (Seen.REFUSED, *_ENDS) if scene.edge.forwarded else (Seen.REFUSED,)
        seen = [greet(scene).seen for _ in range(_TRIES)]
        witness = scene.witness_ended()
        directly = greet_directly(scene).seen
        refused = sum(one in refusals for one in seen)
        return Proof(
            proven=refused == _TRIES and directly is Seen.ANSWERED and witness in _ENDS,
            measured={
                "connects": _TRIES,
                "refused": refused,
                "seen": seen[-1].value,
                "open_connection": witness or NO_WITNESS,
                "direct": directly.value,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap:
    """A connection is refused and served alternately, beginning with a refusal.

    Mechanism, both environments: a thread of the harness disables and enables the edge's proxy
    on a fixed schedule, for at most 10 min. Proof: connections every few milliseconds see one
    whole time down and one whole time up, each as long as asked for within 10 % or 50 ms, and a
    connection from before has ended.
    Undo: the thread has ended, the proxy is enabled, and three greetings are answered.
    """

    verb: ClassVar[str] = "flap"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> store"."""
    down_ns: DurationNs
    """200ms to 10s."""
    up_ns: DurationNs
    """200ms to 10s."""

    def __post_init__(self) -> None:
        wanted = f"{format_duration(_LEAST_NS)} to {format_duration(_MOST_NS)}"
        require(
            ("down", _LEAST_NS <= self.down_ns <= _MOST_NS, wanted),
            ("up", _LEAST_NS <= self.up_ns <= _MOST_NS, wanted),
        )

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        setting = Flapping(
            scene.clock,
            scene.edge.disable,
            scene.edge.enable,
            undo_text="enable the proxy",
            down_ns=self.down_ns,
            up_ns=self.up_ns,
        )
        asked: Mapping[str, Scalar] = {"down_ns": self.down_ns, "up_ns": self.up_ns}
        return EdgeInjection(
            scene, setting, asked=asked, effect=self._effect, normal=answered_again
        )

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        turns = watch_turns(
            scene.clock,
            lambda: greet(scene, _LOOK_LIMIT_NS).seen is Seen.ANSWERED,
            down_ns=self.down_ns,
            up_ns=self.up_ns,
            least_tolerance_ns=50 * MILLISECOND,
            checkpoint=checkpoint,
        )
        witness = scene.witness_ended()
        return Proof(
            proven=turns.proven and witness in _ENDS,
            measured={**turns.measured, "open_connection": witness or NO_WITNESS},
        )
