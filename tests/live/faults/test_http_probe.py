"""The harness's own HTTP request: each way in which a connection can go is told from the others."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gameday.api.edge import Seen
from gameday.api.environment import Endpoint
from gameday.api.http_rules import HttpProbe
from gameday.edge.http_probe import ask_http
from gameday.model.clock import MILLISECOND, SECOND

pytestmark = pytest.mark.live

GET = HttpProbe(method="GET", path="/")
POST = HttpProbe(method="POST", path="/", finished=False)
ANSWER = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"


@contextmanager
def server(act: Callable[[socket.socket], None]) -> Iterator[Endpoint]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                act(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
        thread.join(5)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def in_pieces(connection: socket.socket) -> None:
    for piece in (ANSWER[:5], ANSWER[5:20], ANSWER[20:]):
        connection.sendall(piece)
        time.sleep(0.02)


def waits(connection: socket.socket) -> None:
    time.sleep(0.5)


def waits_in_a_line(connection: socket.socket) -> None:
    connection.sendall(ANSWER[:8])
    time.sleep(0.5)


@pytest.mark.parametrize(
    ("act", "seen", "status"),
    [
        (lambda c: c.sendall(ANSWER), Seen.ANSWERED, 503),
        (in_pieces, Seen.ANSWERED, 503),
        (lambda c: None, Seen.CLOSED, 0),
        (lambda c: c.sendall(ANSWER[:-1]), Seen.CLOSED, 0),
        (reset, Seen.RESET, 0),
        (waits, Seen.SILENT, 0),
        (waits_in_a_line, Seen.SILENT, 0),
        (lambda c: c.sendall(b"220 mail.example ESMTP\r\n"), Seen.CLOSED, 0),
    ],
    ids=["whole", "pieces", "end", "torn", "reset", "silence", "half-a-line", "no-http"],
)
def test_what_becomes_of_a_request_is_told(
    act: Callable[[socket.socket], None], seen: Seen, status: int
) -> None:
    with server(act) as endpoint:
        answer = ask_http(endpoint, GET, 300 * MILLISECOND)
    assert (answer.seen, answer.status) == (seen, status)


def test_a_service_that_asks_for_the_rest_is_left_waiting() -> None:
    rest = []

    def asks(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        rest.append(connection.recv(100))

    with server(asks) as endpoint:
        answer = ask_http(endpoint, POST, SECOND)
    assert (answer.seen, answer.status) == (Seen.ANSWERED, 100)
    assert rest == [b""]


def test_nobody_there_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert ask_http(Endpoint(host="127.0.0.1", port=port), GET, SECOND).seen is Seen.REFUSED
