"""The control API answers programs of this host, and neither pages nor who lacks the token."""

import asyncio
import json

import pytest

from gameday.proxy.gate import Gate, is_loopback
from gameday.proxy.http import Request, Response

HERE = {"host": "127.0.0.1:8474"}


def call(gate: Gate, method: str = "GET", **headers: str) -> int:
    """Return the status of a call; 299 is that of what was let in."""

    async def handle(_: Request) -> Response:
        return Response(status=299)

    request = Request(method=method, path="/proxies", headers=headers, body=b"")

    async def answered() -> int:
        return (await gate.before(handle)(request)).status

    return asyncio.run(answered())


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8474", "127.0.0.1", "127.8.9.1:1", "localhost:8474", "[::1]:8474", "[::1]"]
)
def test_a_call_by_an_address_of_this_host_is_let_in(host: str) -> None:
    assert call(Gate(), host=host) == 299


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8474", "127.0.0.1.evil.example:8474", "localhost.evil:1",
     "10.0.0.7:8474", "[2001:db8::1]:8474", "127.0.0.1:8474@evil", "127.0.0.1:x"],
)  # fmt: skip
def test_a_call_by_any_other_name_is_refused_and_told_why(host: str) -> None:
    assert call(Gate(), host=host) == 403
    refused = Gate().refusal(Request(method="GET", path="/", headers={"host": host}, body=b""))
    assert refused is not None
    assert "call it by 127.0.0.1" in json.loads(refused.body)["error"]


def test_beyond_loopback_addresses_are_let_in_and_names_are_not() -> None:
    gate = Gate(beyond_loopback=True)
    assert call(gate, host="10.0.0.7:8474") == 299
    assert call(gate, host="evil.example:8474") == 403, "any page can have its name point here"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:8474", "null", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_call_of_a_page_is_refused(origin: str, method: str) -> None:
    assert call(Gate(), method, **HERE, origin=origin) == 403


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Bearer wrong", "word", "Bearer w\xf6rd"]
)
def test_a_change_without_the_token_is_refused(method: str, given: str) -> None:
    assert call(Gate(token="word"), method, **HERE, authorization=given) == 401
    assert call(Gate(token="word"), method, **HERE) == 401


def test_with_the_token_all_is_let_in_and_to_look_none_is_needed() -> None:
    gate = Gate(token="word")
    assert call(gate, "POST", **HERE, authorization="Bearer word") == 299
    assert call(gate, "GET", **HERE) == 299
    assert call(Gate(), "POST", **HERE) == 299, "none was asked for"


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("", False), ("192.168.1.1", False), ("myhost", False)],
)  # fmt: skip
def test_loopback_is_what_no_other_host_reaches(host: str, wanted: bool) -> None:
    assert is_loopback(host) == wanted
