"""Queue-purge: the messages that wait in a queue are gone."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, NotReadyError
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.rabbitmq.broker import KIND, Broker, BrokerConnection, broker_of

__all__ = ["QueuePurge"]

_ROUNDS = 5
"""How often it is purged until so little is seen in it: publishers may be at it meanwhile."""
_REST = 10
"""What part of the messages may be there again when they are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePurge:
    """Every message waiting in a queue is dropped; messages that consumers hold are not.

    What is lost is lost: that is the fault, and nothing brings it back. Proven when messages were
    waiting, the broker says how many it dropped, and the queue's own count right afterwards is 0,
    or for the sake of those who publish meanwhile at most a tenth of what it was. Undone, after a
    loss that stays, means that the queue is there and that the broker confirms and delivers a
    message. That one goes through a queue of the harness's own: in the purged one it would reach
    somebody's consumer.
    """

    verb: ClassVar[str] = "queue-purge"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({KIND})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True)
    target: str
    """The broker."""
    queue: str
    """The queue's name."""
    vhost: str = "/"
    """Its virtual host."""

    def on(self, environment: Environment) -> Injection:
        broker = broker_of(environment, self.target, self.verb)
        return _Purging(environment.clock, broker, self)


class _Purging:
    """One purge: proven by the queue's own counts before and after."""

    def __init__(self, clock: Clock, broker: Broker, fault: QueuePurge) -> None:
        self._clock = clock
        self._broker = broker
        self._fault = fault
        self._measured: dict[str, Scalar] = {}
        self.undo_text = f"nothing: what was in {self._fault.queue} is lost"
        self.asked: Mapping[str, Scalar] = {"queue": self._fault.queue, "vhost": self._fault.vhost}

    @property
    def _purged(self) -> bool:
        return "messages_purged" in self._measured

    def inject(self) -> Window:
        """Count, purge and count again at once: later, others have changed the counts."""
        with closing(self._broker.open(self._fault.vhost)) as line:
            return timed(self._clock, lambda: self._purge(line))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        checkpoint()
        before, purged, after = (
            int(self._measured.get(f"messages_{when}") or 0)
            for when in ("before", "purged", "after")
        )
        shown = before and purged and after * _REST <= before
        return Proof(proven=bool(shown), measured=self._measured)

    def undo(self) -> Window:
        return timed(self._clock)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        answer = answers_again(self._broker.service, checkpoint)
        if not answer.proven:
            return answer
        try:
            with closing(self._broker.open(self._fault.vhost)) as line:
                # A queue that was not there before is not missed.
                there = line.depth(self._fault.queue) if self._purged else None
                came_back = line.round_trip()
        except NotReadyError as error:
            return Proof(proven=False, measured={**answer.measured, "error": str(error)})
        later: dict[str, Scalar] = {}
        if there is not None:
            later = {"messages_later": there.messages, "consumers_later": there.consumers}
        return Proof(
            proven=came_back,
            measured={**answer.measured, **later, "message_came_back": came_back},
        )

    def _purge(self, line: BrokerConnection) -> None:
        queue = self._fault.queue
        try:
            before = line.depth(queue).messages
            purged = 0
            for _ in range(_ROUNDS):
                purged += line.purge(queue)
                after = line.depth(queue).messages
                if after * _REST <= before:
                    break
            self._measured = {
                "messages_before": before,
                "messages_purged": purged,
                "messages_after": after,
            }
        except NotReadyError as error:
            # No such queue, or one that is somebody's alone: that is no fault, and no error.
            self._measured = {"error": str(error)}
