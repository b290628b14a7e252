import asyncio
from collections.abc import Callable

import pytest

from gameday.proxy.http import HttpSession, Request, Response


class Wire(asyncio.Transport):
    """What a session wrote, and whether it hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True


def converse(*pieces: bytes) -> tuple[Wire, list[Request]]:
    """Send the pieces one after another, with turns of the loop in between."""
    seen: list[Request] = []
    wire = Wire()

    async def handle(request: Request) -> Response:
        seen.append(request)
        return Response.json({"path": request.path})

    async def run() -> None:
        session = HttpSession(handle)
        session.connection_made(wire)
        for piece in pieces:
            session.data_received(piece)
            for _ in range(6):
                await asyncio.sleep(0)
        session.connection_lost(None)

    asyncio.run(run())
    return wire, seen


POST = b"POST /a?x=1 HTTP/1.1\r\nContent-Length: 3\r\nX-Y: z\r\n\r\nabc"


def test_a_request_is_taken_whole() -> None:
    wire, (request,) = converse(POST)
    assert (request.method, request.path, request.body) == ("POST", "/a", b"abc")
    assert request.headers["x-y"] == "z"
    assert wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.written.endswith(b'\r\n\r\n{"path":"/a"}')
    assert not wire.closed


def one_byte_at_a_time(raw: bytes) -> list[bytes]:
    return [raw[index : index + 1] for index in range(len(raw))]


@pytest.mark.parametrize("cut", [one_byte_at_a_time, lambda raw: [raw[:20], raw[20:]]])
def test_a_request_may_come_in_pieces(cut: Callable[[bytes], list[bytes]]) -> None:
    assert converse(*cut(POST))[1] == converse(POST)[1]


def test_a_chunked_body_is_put_together() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, (request,) = converse(head, b"3\r\nab", b"c\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    assert request.body == b"abcde"


def test_requests_that_come_together_are_answered_in_their_order() -> None:
    wire, seen = converse(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", b"")
    assert [request.path for request in seen] == ["/1", "/2"]
    assert wire.written.index(b'"/1"') < wire.written.index(b'"/2"')


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nConnection: close",
        b"GET / HTTP/1.1\r\nConnection: TE, Close",
        b"GET / HTTP/1.0",
    ],
)
def test_a_client_that_wants_one_answer_gets_one(head: bytes) -> None:
    wire, _ = converse(head + b"\r\n\r\n")
    assert b"Connection: close" in wire.written
    assert wire.closed


def test_a_client_that_asks_before_it_sends_is_told_to_go_on() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    wire, seen = converse(head, b"x")
    assert wire.written.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
        (b"G" * 20_000, 431),
    ],
)
def test_a_malformed_request_is_refused_and_the_connection_closed(raw: bytes, status: int) -> None:
    wire, seen = converse(raw)
    assert wire.written.startswith(f"HTTP/1.1 {status} ".encode())
    assert wire.closed
    assert seen == []


def test_what_follows_the_trailers_of_a_chunked_body_is_the_next_request() -> None:
    head = b"POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = head + b"2\r\nab\r\n0\r\nX-Sum: 1\r\nX-T: 2\r\n\r\n" + b"GET /2 HTTP/1.1\r\n\r\n"
    for pieces in ([raw], one_byte_at_a_time(raw)):
        _, seen = converse(*pieces, b"")
        assert [(request.path, request.body) for request in seen] == [("/1", b"ab"), ("/2", b"")]


def test_an_answer_to_head_has_no_body() -> None:
    wire, _ = converse(b"HEAD / HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 12\r\n" in wire.written
    assert wire.written.endswith(b"\r\n\r\n")


def test_a_target_may_be_a_whole_url() -> None:
    _, (request,) = converse(b"GET http://host:1/version?x HTTP/1.1\r\n\r\n")
    assert request.path == "/version"
