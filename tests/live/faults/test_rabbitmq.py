"""What a broker does to its clients: each fault seen by a client of its own, and undone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pika
import pytest
from pika.exceptions import AMQPError, ConnectionClosedByBroker

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Target
from gameday.resources import bundled
from gameday.technologies.rabbitmq.faults import (
    CloseConnections,
    ConsumerCancel,
    DiskAlarm,
    MemoryAlarm,
    QueuePurge,
    StopApp,
)
from gameday.technologies.rabbitmq.login import rabbitmq_login

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

BROKER = "rabbitmq"
QUEUE = "orders"
PERSISTENT = pika.BasicProperties(delivery_mode=2)  # type: ignore[no-untyped-call]
PASSING = pika.BasicProperties(delivery_mode=1)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def system() -> Target:
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    alone = tuple(spec for spec in stores.services if spec.kind == "rabbitmq")
    return replace(stores, services=alone, switches={})


def connect(
    environment: Environment, user: str = "", password: str = ""
) -> pika.BlockingConnection:
    service = environment.service(BROKER)
    login = (user, password) if user else rabbitmq_login(service.spec)
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host=service.upstream.host,
            port=service.upstream.port,
            credentials=pika.PlainCredentials(*login),
        )
    )


def control(environment: Environment, *words: str) -> str:
    house = environment.service(BROKER)
    ran = house.run_inside(["rabbitmqctl", "-q", *words], 20 * SECOND)
    assert ran.code == 0, ran
    return ran.output


class Client:
    """A consumer as users have one; it notes what is done to it until it is told to end."""

    def __init__(self, environment: Environment, *, consume: bool) -> None:
        self.bodies: list[bytes] = []
        self.cancelled = threading.Event()
        self.closed: ConnectionClosedByBroker | None = None
        self._connection = connect(environment)
        if consume:
            channel = self._connection.channel()
            channel.basic_qos(prefetch_count=2)
            channel.add_on_cancel_callback(lambda _: self.cancelled.set())
            channel.basic_consume(QUEUE, lambda _c, _m, _p, body: self.bodies.append(body))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        try:
            while not self._over.is_set():
                self._connection.process_data_events(0.05)
        except ConnectionClosedByBroker as error:
            self.closed = error
        except AMQPError:
            return

    def end(self) -> None:
        self._over.set()
        self._thread.join(10)
        with suppress(AMQPError):
            self._connection.close()


@pytest.fixture
def client(environment: Environment) -> Iterator[Client]:
    """A connection that does nothing."""
    made = Client(environment, consume=False)
    yield made
    made.end()


@pytest.fixture
def orders(environment: Environment) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    """A durable queue with an argument and a binding, ten persistent messages and three others."""
    with connect(environment) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("shop", "topic")
        channel.queue_declare(QUEUE, durable=True, arguments={"x-max-length": 1000})
        channel.queue_bind(QUEUE, "shop", "order.*")
        for number in range(13):
            properties = PERSISTENT if number < 10 else PASSING
            channel.basic_publish("shop", "order.new", b"%d" % number, properties)
        yield channel
    with connect(environment) as connection:
        connection.channel().queue_delete(QUEUE)


@pytest.mark.full
def test_the_broker_closes_every_connection_that_it_has(through: Through, client: Client) -> None:
    effect, undone = through(CloseConnections(target=BROKER, reason="maintenance"))
    assert effect.measured["connections_before"] == 1
    assert effect.measured["still_open"] == 0
    assert "maintenance" in str(effect.measured["own_connection"])
    client.end()
    assert client.closed is not None
    assert client.closed.reply_code == 320
    assert "maintenance" in client.closed.reply_text
    assert undone.measured["stays_open"] is True


@pytest.mark.sample("process")
def test_the_connections_of_one_user_are_closed_and_no_others(
    environment: Environment, through: Through, client: Client
) -> None:
    control(environment, "add_user", "ann", "secret")
    control(environment, "set_permissions", "ann", ".*", ".*", ".*")
    try:
        anns = connect(environment, "ann", "secret")
        effect, _ = through(CloseConnections(target=BROKER, user="ann"))
        assert effect.measured["connections_before"] == 1
        assert effect.measured["own_connection"] == "open"
        with pytest.raises(ConnectionClosedByBroker):
            anns.process_data_events(2)
        client.end()
        assert client.closed is None
    finally:
        control(environment, "delete_user", "ann")


@pytest.mark.full
@pytest.mark.parametrize(
    ("fault", "limit", "limit_bytes"),
    [
        (MemoryAlarm(target=BROKER), "set_vm_memory_high_watermark absolute 2GB", 2_000_000_000),
        (DiskAlarm(target=BROKER), "set_disk_free_limit 60MB", 60_000_000),
    ],
    ids=["memory", "disk"],
)
def test_an_alarm_blocks_who_publishes_until_the_limit_of_before_stands(
    environment: Environment, through: Through, fault: Fault, limit: str, limit_bytes: int
) -> None:
    control(environment, *limit.split())
    effect, undone = through(fault)
    assert effect.measured["alarm"] is True
    assert int(effect.measured["waited_ns"] or 0) >= SECOND // 2
    assert undone.measured["alarm_after"] is False
    assert undone.measured["limit_after_bytes"] == limit_bytes


@pytest.mark.full
def test_the_broker_is_stopped_and_its_node_lives_on(
    environment: Environment, through: Through, client: Client
) -> None:
    effect, undone = through(StopApp(target=BROKER))
    assert effect.measured["greeting"] in ("refused", "closed")
    assert effect.measured["node_alive"] is True
    client.end()
    assert client.closed is not None
    assert undone.measured["broker_runs_after"] is True


@pytest.mark.full
@pytest.mark.usefixtures("orders")
def test_a_purged_queue_has_lost_what_waited_in_it(through: Through) -> None:
    effect, undone = through(QueuePurge(target=BROKER, queue=QUEUE))
    assert effect.measured["messages_before"] == 13
    assert effect.measured["messages_purged"] == 13
    assert effect.measured["messages_after"] == 0
    assert undone.measured["messages_later"] == 0


@pytest.mark.full
def test_a_cancelled_consumer_finds_its_queue_as_it_was(
    environment: Environment,
    through: Through,
    orders: pika.adapters.blocking_connection.BlockingChannel,
) -> None:
    consumer = Client(environment, consume=True)
    try:
        effect, undone = through(ConsumerCancel(target=BROKER, queue=QUEUE))
        assert consumer.cancelled.wait(2)
    finally:
        consumer.end()
    assert consumer.closed is None
    assert effect.measured["consumers_before"] == 1
    assert effect.measured["consumers_after"] == 0
    assert undone.measured["same_queue"] is True
    assert undone.measured["bindings"] == 2
    kept = [orders.basic_get(QUEUE, auto_ack=True)[2] for _ in range(11)]
    assert kept == [*(b"%d" % number for number in range(10)), None]
    orders.basic_publish("shop", "order.new", b"later", PERSISTENT, mandatory=True)
    assert orders.basic_get(QUEUE, auto_ack=True)[2] == b"later"


@pytest.mark.sample("process-queue-purge")
@pytest.mark.parametrize(
    "fault",
    [
        QueuePurge(target=BROKER, queue="nowhere"),
        ConsumerCancel(target=BROKER, queue="nowhere"),
        CloseConnections(target=BROKER, user="nobody"),
    ],
    ids=lambda fault: fault.verb,
)
def test_what_hits_nobody_is_not_proven(environment: Environment, fault: Fault) -> None:
    injection = fault.on(environment)
    try:
        injection.inject()
        effect = injection.prove(lambda: None)
    finally:
        injection.undo()
    assert not effect.proven, effect.measured
    assert injection.prove_healed(lambda: None).proven


@pytest.mark.sample("process")
def test_a_quorum_queue_is_not_what_consumer_cancel_is_proven_on(environment: Environment) -> None:
    with connect(environment) as connection:
        channel = connection.channel()
        channel.queue_declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_consume("quorum", lambda *_: None)
        injection = ConsumerCancel(target=BROKER, queue="quorum").on(environment)
        try:
            injection.inject()
            effect = injection.prove(lambda: None)
        finally:
            injection.undo()
        assert not effect.proven, effect.measured
        undone = injection.prove_healed(lambda: None)
        assert undone.proven, undone.measured
        channel.queue_delete("quorum")


@pytest.mark.sample("process-MemoryAlarm")
@pytest.mark.usefixtures("orders", "client")
@pytest.mark.parametrize(
    "fault",
    [
        CloseConnections(target=BROKER),
        CloseConnections(target=BROKER, user="ann"),
        MemoryAlarm(target=BROKER),
        DiskAlarm(target=BROKER),
        StopApp(target=BROKER),
        QueuePurge(target=BROKER, queue=QUEUE),
        ConsumerCancel(target=BROKER, queue=QUEUE),
    ],
    ids=str,
)
def test_what_does_nothing_to_a_broker_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)
