"""What a RabbitMQ broker is asked: over AMQP by connections of our own, and by rabbitmqctl."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gameday.api.environment import Environment, NotReadyError, Service
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, SECOND
from gameday.technologies.rabbitmq.connecting import connected
from gameday.technologies.rabbitmq.login import rabbitmq_login

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingChannel

__all__ = [
    "ANSWER_LIMIT_NS",
    "KIND",
    "AmqpBroker",
    "Broker",
    "BrokerConnection",
    "Depth",
    "Greeting",
    "Published",
    "broker_of",
    "erlang_text",
]

KIND = "rabbitmq"

ANSWER_LIMIT_NS = 2 * SECOND
"""How long what the broker does by itself may take to be heard of; it takes some milliseconds."""

_SILENCE_NS = 500 * MILLISECOND
"""How long a confirm may fail to come, once the broker said that it blocks; one takes some 5 ms."""
_HEARTBEAT_S = 10
"""A broker that says nothing at all is given up after that and five seconds."""
_CONTROL_LIMIT_NS = 20 * SECOND
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_WORD = b"gameday"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of a message of our own."""

    confirmed: bool
    """If not, the broker said that it blocks, and no confirm came for half a second after that."""
    waited_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many messages of a queue are ready, and how many consumers it has."""

    messages: int
    consumers: int


Greeting = str
"""How a port met the protocol's header: answered, refused, closed or silent."""


class BrokerConnection(Protocol):
    """One AMQP connection of the harness's own. Everything but `close` may raise NotReadyError."""

    def publish(self) -> Published:
        """Publish to a queue of its own, which goes with the line; ends it if that is blocked."""
        ...

    def round_trip(self) -> bool:
        """Tell whether a message was confirmed by such a queue, and came back from it."""
        ...

    def ended(self, limit_ns: int) -> str | None:
        """Return the broker's words for closing the connection; None: it did not within that."""
        ...

    def depth(self, queue: str) -> Depth: ...

    def purge(self, queue: str) -> int:
        """Empty a queue and return how many messages the broker says it dropped."""
        ...

    def watch(self, queue: str) -> None:
        """Be a consumer of a queue who is never given any of its messages."""
        ...

    def cancelled(self, limit_ns: int) -> bool:
        """Tell whether the broker cancelled that consumer."""
        ...

    def close(self) -> None: ...


class Broker(Protocol):
    """The broker that a fault hits."""

    @property
    def service(self) -> Service: ...

    @property
    def user(self) -> str:
        """As whom its lines log in."""
        ...

    def open(self, vhost: str = "/") -> BrokerConnection:
        """Connect on the direct path. Raises NotReadyError."""
        ...

    def greeting(self) -> Greeting:
        """Connect on the direct path without logging in, and tell what came."""
        ...

    def control(self, *words: str, limit_ns: int = _CONTROL_LIMIT_NS) -> str:
        """Run rabbitmqctl and return what it wrote. Raises EnvironmentRefused unless it worked."""
        ...

    def evaluate(self, expression: str) -> str:
        """Return what an Erlang expression gives as a tuple `{gameday, ...}`, without its blanks.

        Raises EnvironmentRefused.
        """
        ...


def broker_of(environment: Environment, target: str, verb: str) -> Broker:
    """Return the broker of that name; EnvironmentRefused if it is none, or cannot be controlled."""
    service = environment.service(target)
    if service.spec.kind != KIND:
        raise EnvironmentRefused(f"{verb}: {target} is no RabbitMQ in {environment.runtime}")
    return AmqpBroker(service)


def erlang_text(text: str) -> str:
    """Return an Erlang binary of that text, whatever is in it."""
    return f"<<{','.join(str(byte) for byte in text.encode())}>>"


class AmqpBroker:
    """A broker that runs."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def user(self) -> str:
        return rabbitmq_login(self.service.spec)[0]

    def open(self, vhost: str = "/") -> BrokerConnection:
        import pika  # 70 ms, so not before a fault is on its way

        direct = self.service.upstream
        parameters = pika.ConnectionParameters(
            host=direct.host,
            port=direct.port,
            virtual_host=vhost,
            credentials=pika.PlainCredentials(*rabbitmq_login(self.service.spec)),
            client_properties={"connection_name": "gameday"},
            connection_attempts=1,  # a hidden repetition would blur what is measured
            socket_timeout=ANSWER_LIMIT_NS / SECOND,
            stack_timeout=2 * ANSWER_LIMIT_NS / SECOND,
            blocked_connection_timeout=_SILENCE_NS / SECOND,
            heartbeat=_HEARTBEAT_S,
        )
        with _answering(f"RabbitMQ at {direct}"):
            return _AmqpLine(connected(parameters), f"RabbitMQ at {direct}")

    def greeting(self) -> Greeting:
        direct = self.service.upstream
        limit_s = ANSWER_LIMIT_NS / SECOND
        try:
            with socket.create_connection((direct.host, direct.port), limit_s) as line:
                line.sendall(_PROTOCOL_HEADER)
                return "answered" if line.recv(1) else "closed"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"
        except OSError:
            return "closed"

    def control(self, *words: str, limit_ns: int = _CONTROL_LIMIT_NS) -> str:
        ran = self.service.run_inside(["rabbitmqctl", *words], limit_ns)
        if ran.code != 0:
            raise EnvironmentRefused(
                f"{self.service.spec.name}: rabbitmqctl {words[0]} ended with exit code "
                f"{ran.code}: {ran.output.strip()[-300:]}"
            )
        return ran.output

    def evaluate(self, expression: str) -> str:
        # Erlang breaks a long term over several lines, and warnings may stand around it.
        output = "".join(self.control("eval", expression).split())
        match = re.search(r"\{gameday,(.*)\}", output)
        if match is None:
            raise EnvironmentRefused(
                f"{self.service.spec.name}: rabbitmqctl eval gave {output[-300:]}"
            )
        return match[1]


class _AmqpLine:
    """One connection of pika's. It is used by one thread after the other, never by two at once."""

    def __init__(self, connection: "pika.BlockingConnection", what: str) -> None:
        self._connection = connection
        self._what = what
        self._channel: BlockingChannel | None = None
        self._queue = ""
        self._heard: set[str] = set()
        """What the broker did by itself."""

    def publish(self) -> Published:
        from pika.exceptions import ConnectionBlockedTimeout

        channel = self._own_channel()
        asked_ns = time.monotonic_ns()
        confirmed = False
        with _answering(self._what), suppress(ConnectionBlockedTimeout):
            channel.basic_publish("", self._queue, _WORD, mandatory=True)
            confirmed = True
        return Published(confirmed=confirmed, waited_ns=time.monotonic_ns() - asked_ns)

    def round_trip(self) -> bool:
        if not self.publish().confirmed:
            return False
        with _answering(self._what):
            _, _, body = self._own_channel().basic_get(self._queue, auto_ack=True)
        return bool(body == _WORD)

    def ended(self, limit_ns: int) -> str | None:
        from pika.exceptions import AMQPError, ConnectionClosedByBroker

        try:
            self._listen("end", limit_ns)
        except ConnectionClosedByBroker as error:
            return f"{error.reply_code} {error.reply_text}"
        except (AMQPError, OSError) as error:
            return repr(error)
        return None

    def depth(self, queue: str) -> Depth:
        with _answering(self._what):
            # A channel is lost by asking for a queue that is not there.
            channel = self._connection.channel()
            found = channel.queue_declare(queue, passive=True).method
            channel.close()
        return Depth(messages=found.message_count, consumers=found.consumer_count)

    def purge(self, queue: str) -> int:
        with _answering(self._what):
            return int(self._own_channel().queue_purge(queue).method.message_count)

    def watch(self, queue: str) -> None:
        """Use up the channel's limit of one message with our own queue, then consume the other.

        The limit is that of the whole channel, so nothing of the other queue is ever delivered.
        """
        self.publish()
        with _answering(self._what):
            channel = self._connection.channel()
            channel.basic_qos(prefetch_count=1, global_qos=True)
            channel.basic_consume(self._queue, lambda *_: self._heard.add("full"))
            if not self._listen("full", ANSWER_LIMIT_NS):
                raise NotReadyError(f"{self._what}: delivers nothing")
            channel.add_on_cancel_callback(lambda _: self._heard.add("cancelled"))
            channel.basic_consume(queue, lambda *_: None)

    def cancelled(self, limit_ns: int) -> bool:
        with _answering(self._what):
            return self._listen("cancelled", limit_ns)

    def close(self) -> None:
        from pika.exceptions import AMQPError

        with suppress(AMQPError, OSError):
            if self._connection.is_open:
                self._connection.close()

    def _own_channel(self) -> "BlockingChannel":
        """Return a channel with confirms, and a queue that goes with the connection."""
        if self._channel is None:
            with _answering(self._what):
                channel = self._connection.channel()
                channel.confirm_delivery()
                self._queue = str(channel.queue_declare("", exclusive=True).method.queue)
            self._channel = channel
        return self._channel

    def _listen(self, what: str, limit_ns: int) -> bool:
        give_up_ns = time.monotonic_ns() + limit_ns
        while what not in self._heard and (left_ns := give_up_ns - time.monotonic_ns()) > 0:
            self._connection.process_data_events(left_ns / SECOND)
        return what in self._heard


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """Turn what the client library raises into one line that says who did not answer."""
    from pika.exceptions import AMQPError

    try:
        yield
    except (AMQPError, OSError) as error:
        raise NotReadyError(f"{what}: {error!r}") from error
