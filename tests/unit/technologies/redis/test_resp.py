"""A login to Redis, in pieces of any size, and what a connection that logs in shows of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gameday.api.environment import Endpoint
from gameday.api.opening import TurnedAway
from gameday.model.login import Login
from gameday.technologies.redis.connection import RedisSocketConnection, Refusal
from gameday.technologies.redis.resp import RedisOpening, command

LOGIN = Login(user="ann", password="secret")
AUTH = b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n"


def test_a_login_names_the_user_and_the_password() -> None:
    assert RedisOpening(LOGIN).start() == AUTH
    assert command(b"SET", b"a b\r\n") == b"*2\r\n$3\r\nSET\r\n$5\r\na b\r\n\r\n"


def test_it_is_done_with_the_last_byte_of_the_welcome() -> None:
    opening = RedisOpening(LOGIN)
    for byte in b"+OK\r":
        assert opening.hear(bytes([byte])) == b""
        assert not opening.done
    opening.hear(b"\n")
    assert opening.done


@pytest.mark.parametrize("answer", ["-WRONGPASS no", "SSH-2.0", "+OKAY"])
def test_any_other_answer_turns_it_away_in_the_servers_words(answer: str) -> None:
    with pytest.raises(TurnedAway) as refused:
        RedisOpening(LOGIN).hear(f"{answer}\r\n".encode())
    assert str(refused.value) == answer.removeprefix("-")


@contextmanager
def server(*says: bytes) -> Iterator[tuple[Endpoint, threading.Event, list[bytes]]]:
    """A server that reads, and says one thing after the other, each when it is let."""
    let, heard = threading.Event(), list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                heard.append(line.recv(1000))
                for words in says:
                    let.wait(5)
                    let.clear()
                    line.sendall(words)
                let.wait(5)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(host="127.0.0.1", port=listening.getsockname()[1]), let, heard
        let.set()
        thread.join(5)


def said_soon(line: RedisSocketConnection) -> bool:
    return any(line.said() or threading.Event().wait(0.01) for _ in range(30))


def test_the_welcome_is_no_answer_to_what_is_asked() -> None:
    with server(b"+OK\r\n", b"+PONG\r\n") as (at, let, heard):
        line = RedisSocketConnection(at, LOGIN)
        line.send("PING")
        let.set()
        assert not said_soon(line), "only the welcome has come"
        let.set()
        assert said_soon(line)
        assert line.receive() == "PONG"
        line.close()
    assert heard[0].startswith(AUTH)


def test_a_server_that_is_busy_at_the_login_is_waited_for_by_the_first_answer_alone() -> None:
    with server(b"+OK\r\n+PONG\r\n") as (at, let, _):
        line = RedisSocketConnection(at, LOGIN)
        line.send("PING")
        let.set()
        assert line.receive() == "PONG"
        line.close()


def test_a_refused_login_is_the_answer_to_the_first_command() -> None:
    with server(b"-ERR max number of clients reached\r\n") as (at, let, _):
        line = RedisSocketConnection(at, LOGIN)
        let.set()
        answer = line.receive()
        assert isinstance(answer, Refusal)
        assert answer.startswith("ERR max number")
        line.close()
