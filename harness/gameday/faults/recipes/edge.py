"""One network fault on one edge, from before it is in until it is proven gone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gameday.api.edge import BulkDialect, Dialect, EdgeConnection, EdgeProxy, Route, Seen
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.edge_settings import EdgeSetting
from gameday.faults.timing import attempted, first_proven, timed, undo_error
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Edge

__all__ = ["NO_WITNESS", "EdgeInjection", "EdgeScene", "Measure", "scene_of"]

NO_WITNESS = "none answered before"
"""What is told of the connection from before a fault where there was none."""

_WITNESS_LIMIT_NS = SECOND
"""A healthy edge answers in milliseconds, and the fault waits for this to be over."""
_END_LIMIT_NS = SECOND
_REST_LIMIT_NS = 20 * MILLISECOND
_MOST_RESTS = 10
_NORMAL_LIMIT_NS = 5 * SECOND
_PAUSE_NS = 20 * MILLISECOND


@dataclass(slots=True, kw_only=True)
class EdgeScene:
    """An edge, how its service is spoken to, and a connection from before the fault."""

    edge: EdgeProxy
    dialect: Dialect
    clock: Clock
    witness: EdgeConnection | None = None
    """None until something is injected, and where nothing was answered before that."""

    @property
    def copious(self) -> BulkDialect:
        assert isinstance(self.dialect, BulkDialect), "scene_of was not asked for it"
        return self.dialect

    def witness_ended(self) -> Seen | None:
        """Return how the connection from before the fault ended; None: there was none.

        Where nothing was answered before, silence and ends are no work of this fault.
        """
        if self.witness is None:
            return None
        return self.witness.listen(_END_LIMIT_NS, to_the_end=True).seen

    def witness_asked(self, limit_ns: int) -> Seen | None:
        """Return what a greeting over that connection brings; None: there was none."""
        if self.witness is None:
            return None
        return self.witness.ask(self.dialect.greeting, limit_ns).seen


Measure = Callable[[EdgeScene, Checkpoint], Proof]


def scene_of(
    environment: Environment, target: str, verb: str, *, copious: bool = False, bare: bool = False
) -> EdgeScene:
    """Return the scene of an edge "a -> b"; EnvironmentRefused if nothing could be proven there.

    `copious` wants a service that can be made to say much, `bare` a proxy that nothing stands
    before.
    """
    client, _, service = target.partition(" -> ")
    edge = environment.edge(Edge(client=client, service=service))
    dialect = edge.dialect
    if dialect is None or (copious and not isinstance(dialect, BulkDialect)):
        what = "that carries many bytes" if copious else "to measure with"
        raise EnvironmentRefused(f"{verb} on {target}: no request to {service} is known {what}")
    if bare and edge.forwarded:
        raise EnvironmentRefused(
            f"{verb} on {target}: this host reaches the proxy through a forwarder only, which "
            "turns a reset into an orderly end, so that nothing could be proven"
        )
    return EdgeScene(edge=edge, dialect=dialect, clock=environment.clock)


class EdgeInjection:
    """A setting of an edge's proxy: proven by connections through it, never by its own word.

    A busy host can spoil one measurement, so three are tried; a fault that does nothing spoils
    all of them.
    """

    def __init__(
        self,
        scene: EdgeScene,
        setting: EdgeSetting,
        *,
        asked: Mapping[str, Scalar],
        effect: Measure,
        normal: Measure,
    ) -> None:
        self._scene = scene
        self._setting = setting
        self._asked = asked
        self._effect = effect
        self._normal = normal
        self._trouble = ""
        self.undo_text = self._setting.undo_text
        self.asked: Mapping[str, Scalar] = self._asked

    def inject(self) -> Window:
        witness = self._scene.edge.open(Route.PROXIED, _WITNESS_LIMIT_NS)
        # One that waited in vain for its login is not waited for once more.
        logged_in = witness.opened is Seen.ANSWERED
        greeting = self._scene.dialect.greeting
        if logged_in and witness.ask(greeting, _WITNESS_LIMIT_NS).seen is Seen.ANSWERED:
            # The rest of an answer in parts would pass for an answer to what is asked later.
            for _ in range(_MOST_RESTS):
                if witness.listen(_REST_LIMIT_NS).seen is not Seen.ANSWERED:
                    break
            self._scene.witness = witness
        else:
            witness.close()
        return timed(self._scene.clock, self._setting.put)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        return first_proven(lambda: self._effect(self._scene, checkpoint), checkpoint)

    def is_active(self) -> Proof:
        """All of it is on the server, by the server's own word: the effect was proven before."""
        return self._setting.is_active(self._scene.edge.state())

    def undo(self) -> Window:
        window, self._trouble = attempted(self._scene.clock, self._setting.lift)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Nothing of it is on the server any more, and the proof of the effect fails."""
        measured = dict(undo_error(self._trouble))
        try:
            state = self._scene.edge.state()
            left = self._setting.left(state)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured |= {
            "proxy_enabled": state.enabled,
            f"{self._setting.what}_left": ", ".join(left) or "none",
            "toxics_of_others": len([name for name in state.toxics if name not in left]),
        }
        clock = self._scene.clock
        give_up_ns = clock.now_ns() + _NORMAL_LIMIT_NS
        while True:
            normal = self._normal(self._scene, checkpoint)
            if normal.proven or clock.now_ns() > give_up_ns:
                break
            clock.sleep_ns(_PAUSE_NS)
        if self._scene.witness is not None:
            self._scene.witness.close()
        clean = not left and state.enabled
        return Proof(proven=clean and normal.proven, measured={**measured, **normal.measured})
