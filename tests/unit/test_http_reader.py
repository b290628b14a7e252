"""A read over HTTP ends: at its deadline, at its cap, whatever the other side does."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gameday.http_reader import HttpReader, NoReply
from gameday.model.clock import MILLISECOND, SECOND

_LIMIT_NS = 300 * MILLISECOND
_CAP = 100_000

Answer = Callable[[socket.socket], None]
Reading = Callable[[Answer], HttpReader]


@pytest.fixture
def serving() -> Iterator[Reading]:
    """Gives a reader of a server that does with every connection what it is told to."""
    servers: list[socket.socket] = []

    def serve(answer: Answer) -> HttpReader:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def converse(line: socket.socket) -> None:
            with line, suppress(OSError):
                answer(line)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    threading.Thread(target=converse, args=(line,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return HttpReader("127.0.0.1", server.getsockname()[1])

    yield serve
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def asked(line: socket.socket) -> bytes:
    question = b""
    while not question.endswith(b"\r\n\r\n"):
        some = line.recv(4096)
        if not some:
            raise ConnectionError
        question += some
    return question


def with_body(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), head, body)


def drip(line: socket.socket, data: bytes) -> None:
    for byte in data:
        time.sleep(0.05)
        line.sendall(bytes([byte]))


def never_ends_in_body(line: socket.socket) -> None:
    asked(line)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    drip(line, b" " * 1000)


def never_ends_in_head(line: socket.socket) -> None:
    asked(line)
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    drip(line, b"X-Padding: " + b"x" * 1000)


def only_continues(line: socket.socket) -> None:
    asked(line)
    while True:
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def drips_chunks(line: socket.socket) -> None:
    asked(line)
    line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        line.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


def says_nothing(line: socket.socket) -> None:
    asked(line)
    time.sleep(5)


@pytest.mark.parametrize(
    "answer",
    [never_ends_in_body, never_ends_in_head, only_continues, drips_chunks, says_nothing],
)
def test_the_deadline_is_for_the_whole_and_not_for_each_read(
    serving: Reading, answer: Answer
) -> None:
    began_ns = time.monotonic_ns()
    with pytest.raises(NoReply, match="no whole answer within 300 ms"):
        serving(answer).get("/record", limit_ns=_LIMIT_NS)
    assert time.monotonic_ns() - began_ns < 2 * _LIMIT_NS


def endless(head: bytes, piece: bytes) -> Answer:
    def answer(line: socket.socket) -> None:
        asked(line)
        line.sendall(head)
        while True:
            line.sendall(piece)

    return answer


_OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        endless(_OK + b"\r\n", b"x" * 65536),
        endless(_OK + b"Content-Length: 600000000\r\n\r\n", b"x" * 65536),
        endless(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        endless(_OK, b"X-Padding: 1\r\n"),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["no length", "long", "chunks", "headers", "continues"],
)
def test_no_more_than_the_cap_is_read(serving: Reading, answer: Answer) -> None:
    began_ns = time.monotonic_ns()
    with pytest.raises(NoReply, match=r"more than|got more than"):
        serving(answer).get("/record", limit_ns=20 * SECOND, most_bytes=_CAP)
    assert time.monotonic_ns() - began_ns < 10 * SECOND


def test_a_body_of_exactly_the_cap_is_read(serving: Reading) -> None:
    def answer(line: socket.socket) -> None:
        asked(line)
        line.sendall(with_body(b"x" * _CAP))

    assert len(serving(answer).get("/", limit_ns=SECOND, most_bytes=_CAP).body) == _CAP


def test_what_was_packed_unasked_is_not_unpacked(serving: Reading) -> None:
    questions = []
    bomb = gzip.compress(b"0" * 10_000_000)

    def answer(line: socket.socket) -> None:
        questions.append(asked(line))
        line.sendall(with_body(bomb, b"Content-Encoding: gzip\r\n"))

    with pytest.raises(NoReply, match="packed by gzip"):
        serving(answer).get("/record", limit_ns=SECOND, most_bytes=_CAP)
    assert b"Accept-Encoding: identity" in questions[0]


def test_a_redirect_is_an_answer_and_nobody_else_is_asked(serving: Reading) -> None:
    def answer(line: socket.socket) -> None:
        asked(line)
        line.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")

    assert serving(answer).get("/record", limit_ns=SECOND).status == 302


def test_one_connection_is_kept_and_made_anew_when_it_was_ended(serving: Reading) -> None:
    lines: list[socket.socket] = []

    def answer(line: socket.socket) -> None:
        lines.append(line)
        for _ in range(2):
            asked(line)
            line.sendall(with_body(b"[1]"))

    reader = serving(answer)
    assert [reader.get("/", limit_ns=SECOND).body for _ in range(4)] == [b"[1]"] * 4
    assert len(lines) == 2


def test_after_a_read_that_failed_no_late_answer_is_taken_for_the_next_one(
    serving: Reading,
) -> None:
    number = iter(range(1, 10))

    def answer(line: socket.socket) -> None:
        asked(line)
        mine = next(number)
        if mine == 1:
            time.sleep(0.5)
        line.sendall(with_body(b'{"n": %d}' % mine))

    reader = serving(answer)
    with pytest.raises(NoReply):
        reader.get("/", limit_ns=_LIMIT_NS)
    assert reader.get("/", limit_ns=SECOND).json_object() == {"n": 2}


@pytest.mark.parametrize("body", [b"no", b"[" * 100_000, b"[1]", b"\xff"])
def test_what_is_no_json_object_is_no_reply(serving: Reading, body: bytes) -> None:
    def answer(line: socket.socket) -> None:
        asked(line)
        line.sendall(with_body(body))

    with pytest.raises(NoReply, match="no JSON"):
        serving(answer).get("/", limit_ns=SECOND, most_bytes=_CAP).json_object()


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"]
)
def test_an_answer_that_is_not_whole_is_no_reply(serving: Reading, said: bytes) -> None:
    def answer(line: socket.socket) -> None:
        asked(line)
        line.sendall(said)

    with pytest.raises(NoReply):
        serving(answer).get("/", limit_ns=SECOND)


def test_nobody_there_is_no_reply() -> None:
    with pytest.raises(NoReply, match="refused"):
        HttpReader("127.0.0.1", 1).get("/", limit_ns=SECOND)
