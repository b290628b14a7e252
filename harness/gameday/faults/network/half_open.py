"""Half-open: a direction of an edge is lost, and so is the end of it; nobody is told."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from gameday.environment.abilities.counting import Counting
from gameday.environment.edge_protocol import Copious, Line, Route, Seen
from gameday.environment.protocol import Checkpoint, Environment, Provision
from gameday.errors import EnvironmentRefused
from gameday.faults.network.injection import NO_WITNESS, EdgeInjection, Scene, scene_of
from gameday.faults.network.measuring import ANSWER_LIMIT_NS, answered_again
from gameday.faults.network.settings import Toxics, streams_of
from gameday.faults.protocol import Demands, Injection, Proof
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Hits

__all__ = ["HalfOpen"]

_TRIES = 3
_SILENCE_NS = 300 * MILLISECOND
_LOST_BYTES = 64_000
_END_LOST_NS = 300 * MILLISECOND
_RESET_LIMIT_NS = SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen:
    """What is sent in a direction of an edge vanishes, and so does its end: the receiver waits.

    As after a loss of power, or behind a firewall that forgot the connection. Unlike a blackhole
    it hides hang-ups, so that a connection whose client is gone stays open at the service, or
    the other way round. Mechanism, both environments: a `half_open` toxic of gameday's own proxy
    in each direction asked for. Proof: three new connections, and one from before, get no answer
    within 300 ms and are not closed; a hang-up of the new ones is not answered within 300 ms
    either, while on the direct way both are; with `stream: downstream` all bytes of the answers,
    64 kB each if the service can be made to say that much, came as far as the proxy. Undo: the
    toxics are removed; connections that met them are reset, and three greetings are answered.
    """

    verb: ClassVar[str] = "half-open"
    hits: ClassVar[Hits] = "edge"
    target: str
    """The edge, such as "relay -> redis"."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def demands(self, runtime: str) -> Demands:
        return Demands(provision=Provision(own_proxy=True))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        if not isinstance(scene.edge, Counting):
            raise EnvironmentRefused(f"{self.verb} on {self.target}: its proxy does not count")
        seen = _Waiting(scene.edge, answers_come=self.stream == "downstream")
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

    counting: Counting
    answers_come: bool
    """Whether the service is to have been asked."""
    lines: list[Line] = field(default_factory=list)
    witness_waits: bool = False

    def effect(self, scene: Scene, checkpoint: Checkpoint) -> Proof:
        self._forget()
        direct = scene.edge.open(Route.DIRECT, ANSWER_LIMIT_NS)
        question, least = scene.talk.greeting, 0
        # Of a login nothing but the first answer is on its way to somebody who hears none.
        login = sum(direct.opening.reads[:1])
        if self.answers_come and not login and isinstance(scene.talk, Copious):
            # More than anybody else's answers on this edge would add up to meanwhile.
            question, least = scene.talk.download(_LOST_BYTES), _LOST_BYTES
        answer = direct.ask(question, ANSWER_LIMIT_NS)
        end = direct.hang_up(ANSWER_LIMIT_NS).seen
        direct.close()
        before = self.counting.received_bytes("downstream") or 0
        heard, ends = [], []
        for _ in range(_TRIES):
            checkpoint()
            line = scene.edge.open(Route.FRONT, ANSWER_LIMIT_NS, _SILENCE_NS)
            heard.append(line.ask(question, _SILENCE_NS).seen)
            ends.append(line.hang_up(_END_LOST_NS).seen)
            self._keep(line, heard[-1])
        came = (self.counting.received_bytes("downstream") or 0) - before
        witness = scene.witness_asked(_SILENCE_NS)
        self.witness_waits = witness is Seen.SILENT
        wanted = _TRIES * (login or max(least, answer.received))
        silent, lost = heard.count(Seen.SILENT), ends.count(Seen.SILENT)
        return Proof(
            proven=silent == lost == _TRIES
            and answer.seen is Seen.ANSWERED
            # RabbitMQ resets who hangs up on it; either way it has heard of the end.
            and end in (Seen.CLOSED, Seen.RESET)
            and witness is Seen.SILENT
            and (not self.answers_come or came >= wanted),
            measured={
                "connections": _TRIES,
                "silent": silent,
                "silence_ns": _SILENCE_NS,
                "ends_lost": lost,
                "end_waited_ns": _END_LOST_NS,
                "open_connection": witness or NO_WITNESS,
                "from_service_bytes": came,
                "wanted_bytes": wanted if self.answers_come else None,
                "direct": answer.seen.value,
                "direct_end": end.value,
            },
        )

    def normal(self, scene: Scene, checkpoint: Checkpoint) -> Proof:
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

    def _keep(self, line: Line, heard: Seen) -> None:
        if heard is Seen.SILENT:
            self.lines.append(line)
        else:
            line.close()

    def _forget(self) -> None:
        for line in self.lines:
            line.close()
        self.lines.clear()
