"""Half-open: a direction of an edge is lost, and so is the end of it; nobody is told."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from gameday.api.edge import EdgeConnection, Route, Seen, Stream
from gameday.api.environment import Checkpoint, Environment, Features
from gameday.api.fault import Injection, Proof, Requirements
from gameday.faults.network.measuring import ANSWER_LIMIT_NS, answered_again, ask
from gameday.faults.network.proxy_observer import Passed, ProxyObserver
from gameday.faults.recipes.edge import NO_WITNESS, EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics, streams_of
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Hits

__all__ = ["HalfOpen"]

_TRIES = 3
_SILENCE_NS = 300 * MILLISECOND
_END_LOST_NS = 300 * MILLISECOND
_RESET_LIMIT_NS = SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen:
    """Data and close of one direction vanish: the receiver waits forever.

    As after a loss of power, or behind a firewall that forgot the connection. Unlike a blackhole
    it hides hang-ups, so that a connection whose client is gone stays open at the service, or
    the other way round. Mechanism, both environments: a `half_open` toxic of gameday's own proxy
    in each direction asked for. Proof: three new connections, and one from before, get no answer
    within 300 ms and are not closed; a hang-up of the new ones is not answered within 300 ms
    either, while on the direct way both are; of one direction also that the answers have come as
    far as the proxy (downstream), or have not (upstream). Undo: the toxics are removed;
    connections that met them are reset, and three greetings are answered.
    """

    verb: ClassVar[str] = "half-open"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> store"."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(features=Features(own_proxy=True))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        seen = _Waiting(None if self.stream == "both" else self.stream)
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "half_open", streams_of(self.stream), {}),
            asked={"stream": self.stream},
            effect=seen.effect,
            normal=seen.normal,
        )


@dataclass(slots=True)
class _Waiting:
    """The connections that wait for what will not come, until they are reset."""

    one_way: Stream | None
    """The direction that was asked for, if it was one."""
    lines: list[EdgeConnection] = field(default_factory=list)
    witness_waits: bool = False

    def effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        self._forget()
        observer = None if self.one_way is None else ProxyObserver(scene.edge)
        greeting = scene.dialect.greeting
        passed, heard, ends = [], [], []
        for _ in range(_TRIES):
            checkpoint()
            line = scene.edge.open(Route.PROXIED, ANSWER_LIMIT_NS, _SILENCE_NS)
            heard.append(ask(line, greeting, _SILENCE_NS).seen)
            passed.append(Passed.unheard(line, greeting))
            ends.append(line.hang_up(_END_LOST_NS).seen)
            self._keep(line, heard[-1])
        direct = scene.edge.open(Route.UPSTREAM, ANSWER_LIMIT_NS)
        answer = direct.ask(greeting, ANSWER_LIMIT_NS).seen
        end = direct.hang_up(ANSWER_LIMIT_NS).seen
        direct.close()
        # They are open still: by now the service had time to answer them, too.
        answered = None if observer is None else observer.answered(passed)
        witness = scene.witness_asked(_SILENCE_NS)
        self.witness_waits = witness is Seen.SILENT
        silent, lost = heard.count(Seen.SILENT), ends.count(Seen.SILENT)
        return Proof(
            proven=silent == lost == _TRIES
            and answer is Seen.ANSWERED
            # Some servers reset who hangs up on them; either way they have heard of the end.
            and end in (Seen.CLOSED, Seen.RESET)
            and witness is Seen.SILENT
            and (self.one_way is None or answered is (self.one_way == "downstream")),
            measured={
                "connections": _TRIES,
                "silent": silent,
                "silence_ns": _SILENCE_NS,
                "ends_lost": lost,
                "end_waited_ns": _END_LOST_NS,
                "open_connection": witness or NO_WITNESS,
                "direct": answer.value,
                "direct_end": end.value,
                **({} if observer is None else {"answers_reached_proxy": answered}),
            },
        )

    def normal(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        """New connections are answered, and those with a hole in them are no more."""
        answered = answered_again(scene, checkpoint)
        # A forwarder of the engine's turns a reset into an orderly end.
        wanted = {Seen.RESET, Seen.CLOSED} if scene.edge.forwarded else {Seen.RESET}
        waiting = list(self.lines)
        if self.witness_waits and scene.witness is not None:
            waiting.append(scene.witness)
        seen = [line.listen(_RESET_LIMIT_NS, to_the_end=True).seen for line in waiting]
        reset = sum(one in wanted for one in seen)
        proven = answered.proven and reset == len(seen)
        measured = {**answered.measured, "met_before": len(seen), "reset_after": reset}
        if proven:
            self._forget()
        return Proof(proven=proven, measured=measured)

    def _keep(self, line: EdgeConnection, heard: Seen) -> None:
        if heard is Seen.SILENT:
            self.lines.append(line)
        else:
            line.close()

    def _forget(self) -> None:
        for line in self.lines:
            line.close()
        self.lines.clear()
