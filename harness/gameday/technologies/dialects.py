"""How services are spoken to over a connection that is measured."""

import secrets
import struct

from gameday.api.edge import BulkDialect
from gameday.api.opening import Login, Opening
from gameday.technologies.postgres import protocol as postgres
from gameday.technologies.rabbitmq import amqp
from gameday.technologies.redis import resp as redis

__all__ = ["AppDialect", "PostgresDialect", "RabbitMQDialect", "RedisDialect"]

_LEAST_BYTES, _MOST_BYTES = 100, 8_000
"""Of a message that is got again and again."""
_KEY = b"gameday-nobody"
"""A queue that nobody has: what is published to it is dropped at once."""
_OWN = b"gameday-own-"
_QOS = amqp.method((60, 10), struct.pack(">IHB", 0, 0, 0))
_GET = amqp.method((60, 70), struct.pack(">H", 0) + amqp.short(b"") + b"\0")
_INFO_BYTES = 300
"""No Redis answers INFO server with less."""
_HTTP_ANSWER_BYTES = 100
"""No answer with its headers is shorter."""
_PADDING_BYTES = 4_000
_LAST_STATUS = b"GET /status HTTP/1.1\r\nHost: gameday\r\nConnection: close\r\n\r\n"


class AppDialect(BulkDialect):
    """Requests by HTTP; none of them writes."""

    greeting = b"GET /status HTTP/1.1\r\nHost: gameday\r\n\r\n"

    def download(self, size: int) -> bytes:
        """Many small questions, without a wait for the answers; the last one asks for the end."""
        return self.greeting * (size // _HTTP_ANSWER_BYTES + 1) + _LAST_STATUS

    def upload(self, size: int) -> bytes:
        """Questions with a long header, which nobody reads."""
        padding = b"\r\nX-Padding: " + b"x" * _PADDING_BYTES + b"\r\n\r\n"
        padded = self.greeting.replace(b"\r\n\r\n", padding)
        return padded * (size // _PADDING_BYTES + 1) + _LAST_STATUS


class RedisDialect(BulkDialect):
    """Commands of the services' user; none of them writes."""

    greeting = b"PING\r\n"

    def __init__(self, login: Login) -> None:
        self._login = login

    def opening(self) -> Opening:
        return redis.RedisOpening(self._login)

    def download(self, size: int) -> bytes:
        """INFO answers with half a kilobyte, QUIT with an end."""
        return b"INFO server\r\n" * (size // _INFO_BYTES + 1) + b"QUIT\r\n"

    def upload(self, size: int) -> bytes:
        """EXISTS of a long key that nobody has: much to read and nothing to write."""
        return redis.command(b"EXISTS", b"x" * size) + b"QUIT\r\n"


class PostgresDialect(BulkDialect):
    """Simple queries by the user of the services; none of them writes."""

    greeting = postgres.query(b"SELECT 1")

    def __init__(self, login: Login) -> None:
        self._login = login

    def opening(self) -> Opening:
        return postgres.PostgresOpening(self._login, name="gameday-line")

    def download(self, size: int) -> bytes:
        return postgres.query(b"SELECT repeat('x', %d)" % size) + postgres.TERMINATE

    def upload(self, size: int) -> bytes:
        return postgres.query(b"SELECT '%s' IS NULL" % (b"x" * size)) + postgres.TERMINATE


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
