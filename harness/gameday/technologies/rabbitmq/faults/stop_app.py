"""Stop-app: the broker is stopped and its node lives on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, NotReadyError, Service
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import attempted, timed, undo_error
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.rabbitmq.broker import (
    ANSWER_LIMIT_NS,
    KIND,
    Broker,
    BrokerConnection,
    broker_of,
)

__all__ = ["StopApp"]

_LIMIT_NS = 30 * SECOND
_GONE = ("refused", "closed")
_RUNS = "{gameday, rabbit:is_running()}."


@dataclass(frozen=True, slots=True, kw_only=True)
class StopApp:
    """The broker of a RabbitMQ node is stopped in an orderly way; the node itself lives on.

    Mechanism: `rabbitmqctl stop_app`. Proven when a connection from before was closed by the
    broker, none is let in, and the node answers that no broker runs, in the process of before.
    Undone when the node answers that one runs, and a message is confirmed.
    """

    verb: ClassVar[str] = "stop-app"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({KIND})
    target: str
    """The node."""

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        broker = broker_of(environment, self.target, self.verb)
        return _Stopping(environment.clock, broker, service)


class _Stopping:
    """One stop: proven by who is not let in while the node answers."""

    def __init__(self, clock: Clock, broker: Broker, node: Service) -> None:
        self._clock = clock
        self._broker = broker
        self._node = node
        self._before = node.process_state()
        self._witness: BrokerConnection | None = None
        self._trouble = ""
        self.undo_text = f"run rabbitmqctl start_app in {self._broker.service.spec.name}"
        self.asked: Mapping[str, Scalar] = {}

    def inject(self) -> Window:
        self._before = self._node.process_state()
        self._witness = self._broker.open()
        return timed(self._clock, lambda: self._broker.control("stop_app", limit_ns=_LIMIT_NS))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        checkpoint()
        greeting = self._broker.greeting()
        heard = None if self._witness is None else self._witness.ended(ANSWER_LIMIT_NS)
        try:
            runs = self._broker.evaluate(_RUNS)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={"greeting": greeting, "error": str(error)})
        now = self._node.process_state()
        same = now.alive and now.started == self._before.started
        return Proof(
            proven=greeting in _GONE and heard is not None and runs == "false" and same,
            measured={
                "greeting": greeting,
                "own_connection": heard or "open",
                "broker_runs": runs == "true",
                "node_alive": now.alive,
                "node_pid": now.pid,
            },
        )

    def is_active(self) -> Proof:
        """Nobody is let in, and the node is that of before."""
        greeting = self._broker.greeting()
        now = self._node.process_state()
        same = now.alive and now.started == self._before.started
        return Proof(
            proven=greeting in _GONE and same,
            measured={"greeting": greeting, "node_alive": now.alive, "same_node": same},
        )

    def undo(self) -> Window:
        if self._witness is not None:
            self._witness.close()
        window, self._trouble = attempted(
            self._clock, lambda: self._broker.control("start_app", limit_ns=_LIMIT_NS)
        )
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        trouble = undo_error(self._trouble)
        answer = answers_again(self._broker.service, checkpoint)
        try:
            runs = self._broker.evaluate(_RUNS) == "true"
        except (EnvironmentRefused, NotReadyError) as error:
            return Proof(proven=False, measured={**trouble, **answer.measured, "error": str(error)})
        return Proof(
            proven=answer.proven and runs,
            measured={**trouble, **answer.measured, "broker_runs_after": runs},
        )
