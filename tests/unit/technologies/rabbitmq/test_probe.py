"""The RabbitMQ probe: a message counts when the broker has confirmed its number."""

import struct

import pytest

from gameday.api.opening import Login
from gameday.load.messages import StreamPlan
from gameday.load.pipeline import Reply
from gameday.model.operation import Outcome
from gameday.technologies.rabbitmq import amqp
from gameday.technologies.rabbitmq.probe import RabbitMQCodec

ACK, NACK, RETURN = (60, 80), (60, 120), (60, 50)


def codec(writes: int) -> RabbitMQCodec:
    said = RabbitMQCodec(
        StreamPlan(
            name="probe-front",
            client="rabbitmq-publish",
            host="127.0.0.1",
            port=1,
            rate_per_s=50.0,
            deadline_ns=10**9,
            login=Login(user="ann", password="secret", database="/"),
        )
    )
    for number in range(1, writes + 1):
        said.write(number, 100 + number)
    return said


def confirmed(method: tuple[int, int], number: int, *, all_before: bool = False) -> bytes:
    return amqp.method(method, struct.pack(">QB", number, all_before))


def returned(written: bytes) -> bytes:
    """Return what a broker sends back of a message that no queue took."""
    why = struct.pack(">H", 312) + amqp.short(b"NO_ROUTE") + amqp.short(b"") + amqp.short(b"q")
    contents = written[written.index(amqp.FRAME_END) + 1 :]
    return amqp.method(RETURN, why) + contents


def test_a_message_is_persistent_and_in_the_queue_of_the_stream() -> None:
    frames = list(amqp.Frames().feed(codec(0).write(1, 7)))
    assert b"gameday.probe.probe-front" in frames[0][1]
    assert frames[1][1].endswith(b"\x10\x00\x02")
    assert frames[2][1] == b"1 7"


def test_the_queue_is_bounded_and_confirms_are_on_before_the_first_message() -> None:
    said = codec(0)
    opened = amqp.method((10, 41), b"\0", channel=0)
    words = said.opening.hear(opened)
    methods = [amqp.method_of(*frame) for frame in amqp.Frames().feed(words)]
    assert methods == [(20, 10), (50, 10), (85, 10)]
    assert b"x-max-length" in words


def test_each_confirmation_is_for_its_own_message() -> None:
    data = confirmed(ACK, 2) + confirmed(ACK, 1)
    assert list(codec(3).hear(data)) == [Reply(2, Outcome.OK), Reply(1, Outcome.OK)]


def test_one_confirmation_can_be_for_all_before_it() -> None:
    data = confirmed(ACK, 1) + confirmed(ACK, 3, all_before=True)
    assert [reply.number for reply in codec(4).hear(data)] == [1, 2, 3]


def test_a_message_that_comes_back_was_not_stored() -> None:
    said = codec(1)
    data = returned(said.write(2, 9)) + confirmed(ACK, 2, all_before=True)
    assert list(said.hear(data)) == [
        Reply(1, Outcome.OK),
        Reply(2, Outcome.FAILED, "returned: 312 NO_ROUTE"),
    ]


def test_a_refused_message_may_be_stored_all_the_same() -> None:
    assert [reply.outcome for reply in codec(1).hear(confirmed(NACK, 1))] == [Outcome.UNKNOWN]


def test_a_confirmation_in_pieces_is_a_whole_one() -> None:
    said = codec(1)
    heard = [reply for byte in confirmed(ACK, 1) for reply in said.hear(bytes([byte]))]
    assert heard == [Reply(1, Outcome.OK)]


@pytest.mark.parametrize("number", [(10, 50), (20, 40)])
def test_a_broker_that_closes_ends_the_connection(number: tuple[int, int]) -> None:
    closing = amqp.method(number, struct.pack(">H", 320) + amqp.short(b"CONNECTION_FORCED"))
    with pytest.raises(ValueError, match="320 CONNECTION_FORCED"):
        list(codec(1).hear(closing))
