"""Blackhole: an edge that accepts and never answers."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from gameday.api.edge import EdgeConnection, Route, Seen
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.faults.network.measuring import CONNECT_LIMIT_NS, answered_again, ask, greet_directly
from gameday.faults.network.proxy_observer import Passed, ProxyObserver, requirements_of
from gameday.faults.recipes.edge import NO_WITNESS, EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics, streams_of
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import Hits

__all__ = ["Blackhole", "silence"]

_TRIES = 3
_SILENCE_NS = 300 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackhole:
    """Connections are accepted and data is swallowed: no answer, no error.

    With `stream: downstream` the service gets every request and does its work, and only its
    answers are lost. Mechanism, both environments: a `timeout` toxic that never ends, in each
    direction asked for. Proof: three new connections, and one from before, are accepted and get
    no answer within 300 ms while the service answers directly; of one direction also that the
    answers have come to gameday's own proxy (downstream), or have not (upstream). Undo: the toxics
    are removed, and three greetings are answered; connections that lost bytes are closed.
    """

    verb: ClassVar[str] = "blackhole"
    hits: ClassVar[Hits] = "edge"
    example: ClassVar[Example] = Example(decisive=("stream",))
    target: str
    """The edge, such as "relay -> store"."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def requirements(self, runtime: str) -> Requirements:
        return requirements_of(self.stream)

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "timeout", streams_of(self.stream), {"timeout": 0}),
            asked={"stream": self.stream},
            effect=partial(silence, stream=self.stream),
            normal=answered_again,
        )


def silence(scene: EdgeScene, checkpoint: Checkpoint, *, stream: str) -> Proof:
    """Connections are accepted and hear nothing, while the service answers directly.

    Where one direction was asked for, the proxy has their answers, or has not.
    """
    observer = None if stream == "both" else ProxyObserver(scene.edge)
    lines: list[EdgeConnection] = []
    seen: list[Seen] = []
    try:
        for _ in range(_TRIES):
            lines.append(scene.edge.open(Route.PROXIED, CONNECT_LIMIT_NS, _SILENCE_NS))
            seen.append(ask(lines[-1], scene.dialect.greeting, _SILENCE_NS).seen)
        directly = greet_directly(scene).seen
        # They are open still: by now the service had time to answer them, too.
        passed = [Passed.unheard(line, scene.dialect.greeting) for line in lines]
        answered = None if observer is None else observer.answered(passed)
    finally:
        for line in lines:
            line.close()
    witness = scene.witness_asked(_SILENCE_NS)
    silent = seen.count(Seen.SILENT)
    there = observer is None or answered is (stream == "downstream")
    return Proof(
        proven=silent == _TRIES and directly is Seen.ANSWERED and witness is Seen.SILENT and there,
        measured={
            "connections": _TRIES,
            "silent": silent,
            "silence_ns": _SILENCE_NS,
            "open_connection": witness or NO_WITNESS,
            "direct": directly.value,
            **({} if observer is None else {"answers_reached_proxy": answered}),
        },
    )
