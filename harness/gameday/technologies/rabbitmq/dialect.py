"""How RabbitMQ is spoken to over a connection that is measured."""

import secrets
import struct

from gameday.api.edge import BulkDialect
from gameday.api.opening import Login, Opening
from gameday.technologies.rabbitmq import amqp

__all__ = ["RabbitMQDialect"]

_LEAST_BYTES, _MOST_BYTES = 100, 8_000
"""Of a message that is got again and again."""
_KEY = b"gameday-nobody"
"""A queue that nobody has: what is published to it is dropped at once."""
_OWN = b"gameday-own-"
_QOS = amqp.method((60, 10), struct.pack(">IHB", 0, 0, 0))
_GET = amqp.method((60, 70), struct.pack(">H", 0) + amqp.short(b"") + b"\0")


class RabbitMQDialect(BulkDialect):
    """A channel of the services' user; what it makes goes with its connection."""

    greeting = _QOS
    farewell = amqp.CLOSE_OK

    def __init__(self, login: Login) -> None:
        self._login = login

    def opening(self) -> Opening:
        return amqp.AmqpOpening(self._login)

    def download(self, size: int) -> bytes:
        """Get the one message of an exclusive queue, and put it back, again and again."""
        # Another name each time: the last one's end may still be under way.
        queue = _OWN + secrets.token_hex(4).encode()
        # A small part of the whole, for no answer comes before the message has been sent.
        message = b"x" * min(max(size // 20, _LEAST_BYTES), _MOST_BYTES)
        made = amqp.declare(queue, exclusive=True) + amqp.publish(queue, message)
        rounds = (
            _GET + amqp.method((60, 120), struct.pack(">QB", number, 2))
            for number in range(1, -(-size // len(message)) + 1)
        )
        return made + b"".join(rounds) + amqp.CLOSE

    def upload(self, size: int) -> bytes:
        return amqp.publish(_KEY, b"x" * size) + amqp.CLOSE
