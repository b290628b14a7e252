"""A login to RabbitMQ opens a channel, in pieces of any size, or says why not."""

import struct

import pytest

from gameday.api.opening import Login, TurnedAway
from gameday.technologies.rabbitmq import amqp

LOGIN = Login(user="ann", password="secret", database="/")
START = amqp.method((10, 10), b"\0\x09" + bytes(4) + struct.pack(">I", 5) + b"PLAIN", channel=0)
TUNE = amqp.method((10, 30), struct.pack(">HIH", 2047, 131_072, 60), channel=0)
OPEN_OK = amqp.method((10, 41), b"\0", channel=0)
CHANNEL_OK = amqp.method((20, 11), bytes(4))


def methods(data: bytes) -> list[tuple[int, int] | None]:
    return [amqp.method_of(*frame) for frame in amqp.Frames().feed(data)]


def closing(number: tuple[int, int], code: int, text: bytes) -> bytes:
    return amqp.method(number, struct.pack(">H", code) + amqp.short(text) + bytes(4))


def test_a_login_names_the_user_tunes_and_opens_a_channel() -> None:
    login = amqp.AmqpOpening(LOGIN)
    assert login.start() == b"AMQP\x00\x00\x09\x01"
    words = login.hear(START)
    assert methods(words) == [(10, 11)]
    assert b"\0ann\0secret" in words
    tuned = login.hear(TUNE)
    assert methods(tuned) == [(10, 31), (10, 40)]
    assert struct.pack(">HIH", 2047, 131_072, 0) in tuned
    assert methods(login.hear(OPEN_OK)) == [(20, 10)]
    assert not login.done
    assert login.hear(CHANNEL_OK) == b""
    assert login.done


def test_a_login_in_single_bytes_is_a_whole_login() -> None:
    login = amqp.AmqpOpening(LOGIN)
    data = START + TUNE + OPEN_OK + CHANNEL_OK
    said = b"".join(login.hear(bytes([byte])) for byte in data)
    assert methods(said) == [(10, 11), (10, 31), (10, 40), (20, 10)]
    assert login.done


def test_each_method_that_follows_the_login_is_waited_for() -> None:
    then = (amqp.declare(b"q", most=1), amqp.CONFIRM_SELECT)
    login = amqp.AmqpOpening(LOGIN, then=then)
    assert methods(login.hear(OPEN_OK)) == [(20, 10), (50, 10), (85, 10)]
    for answer in (CHANNEL_OK, amqp.method((50, 11))):
        login.hear(answer)
        assert not login.done
    login.hear(amqp.method((85, 11)))
    assert login.done


@pytest.mark.parametrize("number", [(10, 50), (20, 40)])
def test_a_broker_that_closes_turns_the_client_away_with_its_reason(
    number: tuple[int, int],
) -> None:
    with pytest.raises(TurnedAway, match="403 ACCESS_REFUSED"):
        amqp.AmqpOpening(LOGIN).hear(closing(number, 403, b"ACCESS_REFUSED"))


@pytest.mark.parametrize("data", [b"AMQP\x00\x00\x09\x01", b"HTTP/1.1 400 Bad Request"])
def test_what_speaks_something_else_turns_the_client_away(data: bytes) -> None:
    with pytest.raises(TurnedAway, match="not a login of RabbitMQ"):
        amqp.AmqpOpening(LOGIN).hear(data)


def test_a_large_message_is_cut_into_frames_that_every_broker_takes() -> None:
    frames = list(amqp.Frames().feed(amqp.publish(b"key", b"x" * 10_000)))
    assert [kind for kind, _ in frames] == [1, 2, 3, 3, 3]
    assert all(len(payload) <= 4088 for _, payload in frames)
    assert b"".join(payload for kind, payload in frames if kind == 3) == b"x" * 10_000
