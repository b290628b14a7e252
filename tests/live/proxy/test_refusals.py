"""What is refused, and in which shape."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live.proxy.conftest import Connect, ReadToEnd, Server

pytestmark = pytest.mark.live

POST = b"POST /proxies HTTP/1.1\r\nHost: localhost\r\n"
VERSION = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close, TE\r\n\r\n"

# What is sent before a call that is to be understood, and the statuses of both answers.
ON_THE_WIRE: dict[str, tuple[bytes, list[int]]] = {
    "HEAD": (b"HEAD /nope HTTP/1.1\r\nHost: localhost\r\n\r\n", [404, 200]),
    "a whole URL": (b"GET http://x/version HTTP/1.1\r\nHost: localhost\r\n\r\n", [200, 200]),
    "trailers": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-T: 1\r\n\r\n",
        [400, 200],
    ),
    "a mark before the JSON": (
        POST + b"Content-Length: 5\r\n\r\n\xef\xbb\xbf{}", [400, 200],
    ),
    "two lengths": (
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", [400],
    ),
    "a length of 5 000 digits": (
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", [400],
    ),
}  # fmt: skip

PROXY: dict[str, object] = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
TOXIC: dict[str, object] = {"type": "latency", "attributes": {"latency": 50}}

REFUSALS: dict[str, tuple[str, str, object, int, str]] = {
    "no name": ("POST", "/proxies", {"upstream": "a:1"}, 400, "missing required field: name"),
    "no upstream": ("POST", "/proxies", {"name": "a"}, 400, "missing required field: upstream"),
    "no JSON": ("POST", "/proxies", b"{bad", 400, "bad request body"),
    "no body": ("POST", "/proxies", b"", 400, "bad request body: EOF"),
    "a name that is a number": ("POST", "/proxies", {"name": 5}, 400, "bad request body"),
    "a name twice": ("POST", "/proxies", PROXY, 409, "proxy already exists"),
    "no port": ("POST", "/proxies", {**PROXY, "name": "q", "listen": "x"}, 500, "missing port"),
    "unknown proxy": ("GET", "/proxies/q", None, 404, "proxy not found"),
    "unknown proxy changed": ("PATCH", "/proxies/q", {}, 404, "proxy not found"),
    "unknown proxy deleted": ("DELETE", "/proxies/q", None, 404, "proxy not found"),
    "toxics of no proxy": ("GET", "/proxies/q/toxics", None, 404, "proxy not found"),
    "unknown toxic": ("GET", "/proxies/p/toxics/t", None, 404, "toxic not found"),
    "unknown toxic changed": ("PATCH", "/proxies/p/toxics/t", {}, 404, "toxic not found"),
    "unknown toxic deleted": ("DELETE", "/proxies/p/toxics/t", None, 404, "toxic not found"),
    "unknown type": ("POST", "/proxies/p/toxics", {"type": "x"}, 400, "invalid toxic type"),
    "no type": ("POST", "/proxies/p/toxics", {}, 400, "invalid toxic type"),
    "bad stream": ("POST", "/proxies/p/toxics", {**TOXIC, "stream": "x"}, 400, "stream was"),
    "text as number": (
        "POST", "/proxies/p/toxics", {**TOXIC, "attributes": {"latency": "5"}}, 400, "bad request",
    ),
    "fraction": (
        "POST", "/proxies/p/toxics", {**TOXIC, "attributes": {"latency": 0.5}}, 400, "bad request",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_the_status_and_the_shape_of_toxiproxy(server: Server, case: str) -> None:
    method, path, body, status, message = REFUSALS[case]
    server.create("127.0.0.1:9")
    got, answer = server.call(method, path, body)
    assert got == status
    assert isinstance(answer, dict)
    assert set(answer) == {"error", "status"}
    assert answer["status"] == status
    assert message in answer["error"]


@pytest.mark.parametrize("case", ON_THE_WIRE)
def test_a_connection_stays_in_step_or_is_closed(
    server: Server, client: Connect, read_to_end: ReadToEnd, case: str
) -> None:
    sent, statuses = ON_THE_WIRE[case]
    with client((server.host, server.port)) as ours:
        ours.sendall(sent + VERSION)
        answers = read_to_end(ours)
    starts = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert [int(status) for status in starts] == statuses
    # A body between the two would be what the client took for the second one's head.
    if case == "HEAD":
        assert b"\r\n\r\nHTTP/1.1 200 " in answers


def test_unknown_paths_and_methods_are_told_apart(server: Server) -> None:
    assert server.call("GET", "/nope") == (404, "404 page not found\n")
    assert server.call("PUT", "/proxies") == (405, "")


def test_the_version_is_json(server: Server) -> None:
    status, answer = server.call("GET", "/version")
    assert status == 200
    assert isinstance(answer, dict)
    assert list(answer) == ["version"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "latency", "attributes": {"latncy": 5}}, "did you mean 'latency'"),
        ({"type": "latency", "attributes": {"latency": -5}}, "latency is -5"),
        ({"type": "latency", "toxicty": 0.5}, "did you mean 'toxicity'"),
        ({"type": "latency", "toxicity": 7}, "toxicity is 7"),
        ({"type": "slicer", "attributes": {"average_size": 0}}, "wanted at least 1"),
    ],
)
def test_what_toxiproxy_would_silently_ignore_is_refused(
    own: Server, body: object, message: str
) -> None:
    own.create("127.0.0.1:9")
    status, answer = own.call("POST", "/proxies/p/toxics", body)
    assert status == 400
    assert isinstance(answer, dict)
    assert message in answer["error"]
    assert own.process.control.proxies()["p"].toxics == ()
