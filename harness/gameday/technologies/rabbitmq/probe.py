"""The RabbitMQ write probe: persistent messages to a queue of its own, each confirmed."""

from collections.abc import Iterator

from gameday.load.messages import StreamPlan
from gameday.load.pipeline import Pipelined, Reply
from gameday.model.operation import Outcome
from gameday.technologies.rabbitmq import amqp

__all__ = ["PUBLISH", "RabbitMQCodec"]

_MOST_KEPT = 1
"""Messages in the queue; the broker drops the oldest, so that no run fills a disk."""


class RabbitMQCodec:
    """The broker confirms by number, one or all up to one; what no queue took comes back first."""

    def __init__(self, plan: StreamPlan) -> None:
        self._queue = f"gameday.probe.{plan.name}".encode()
        queue = amqp.declare(self._queue, durable=True, most=_MOST_KEPT)
        self.opening = amqp.AmqpOpening(plan.login, then=(queue, amqp.CONFIRM_SELECT))
        self._frames = amqp.Frames()
        self._unconfirmed: dict[int, str] = {}
        """By number, why it came back."""
        self._returning = ""

    def write(self, number: int, value: int) -> bytes:
        self._unconfirmed[number] = ""
        body = b"%d %d" % (number, value)
        return amqp.publish(self._queue, body, mandatory=True, persistent=True)

    def hear(self, data: bytes) -> Iterator[Reply]:
        for kind, payload in self._frames.feed(data):
            match amqp.method_of(kind, payload):
                case (60, 80 | 120) as method:
                    for number in self._meant(payload):
                        yield Reply(number, *_judge(method, self._unconfirmed.pop(number)))
                case (60, 50):
                    self._returning = amqp.reason_of(payload)
                case None if kind == amqp.BODY:
                    self._unconfirmed[int(payload.split()[0])] = self._returning
                case (10, 50) | (20, 40):
                    raise ValueError(amqp.reason_of(payload))

    def _meant(self, payload: bytes) -> list[int]:
        """Return the numbers of a confirmation, whose flag says that all before are meant, too."""
        number, multiple = amqp.long_long(payload[4:]), payload[12] & 1
        if not multiple:
            return [number] if number in self._unconfirmed else []
        return [one for one in self._unconfirmed if one <= number or number == 0]


def _judge(method: tuple[int, int], returned: str) -> tuple[Outcome, str]:
    """Take a message that came back as not stored; one that was refused may be stored in part."""
    if returned:
        return Outcome.FAILED, f"returned: {returned}"
    if method == (60, 120):
        return Outcome.UNKNOWN, "the broker does not vouch for it"
    return Outcome.OK, ""


PUBLISH = Pipelined(codec=RabbitMQCodec)
"""Publishes the value to `gameday.probe.<stream>`, a durable queue."""
