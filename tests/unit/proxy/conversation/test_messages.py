import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.proxy.conversation.messages import (
    REQUEST,
    RESPONSE,
    Head,
    MessageEnd,
    Messages,
    NotHttp,
)

GET = b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
)
BARE = b"GET /d HTTP/1.0\nHost: h\n\n"


def parts_of(*pieces: bytes) -> tuple[bytes, list[str]]:
    """Feed the pieces; give the bytes that came back, and the target of each whole message."""
    messages = Messages(REQUEST)
    back = b""
    whole: list[str] = []
    target = ""
    for piece in pieces:
        messages.feed(piece)
        while (part := messages.next()) is not None:
            if isinstance(part, Head):
                back += part.raw
                target = part.words[1]
                messages.body_is(part.body_size(0))
            elif isinstance(part, bytes):
                back += part
            else:
                whole.append(target)
    return back + messages.rest(), whole


@given(st.lists(st.sampled_from([GET, POST, CHUNKED, BARE]), max_size=6), st.data())
def test_however_the_bytes_come_the_parts_joined_are_the_bytes(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    back, whole = parts_of(*pieces)
    assert back == stream
    targets = {GET: "/a?x=1", POST: "/b", CHUNKED: "/c", BARE: "/d"}
    assert whole == [targets[message] for message in sent]


@given(st.binary(max_size=300), st.data())
def test_bytes_that_are_no_http_come_back_whole(noise: bytes, data: st.DataObject) -> None:
    messages = Messages(data.draw(st.sampled_from([REQUEST, RESPONSE])))
    messages.feed(noise)
    try:
        part = messages.next()
    except NotHttp:
        part = None
    assert part is None or isinstance(part, Head)
    assert (b"" if part is None else part.raw) + messages.rest() == noise


@pytest.mark.parametrize(
    "raw",
    [
        b"*1\r\n$4\r\nPING\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PING\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"G" * 9000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_cannot_become_a_request_is_known_at_once(raw: bytes) -> None:
    messages = Messages(REQUEST)
    messages.feed(raw)
    with pytest.raises(NotHttp):
        messages.next()


def test_a_header_that_comes_twice_or_is_folded_is_one_value() -> None:
    messages = Messages(REQUEST)
    messages.feed(b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nconnection:\r\n Close\r\n\r\n")
    head = messages.next()
    assert isinstance(head, Head)
    assert head.has("connection", "close")
    assert head.has("connection", "keep-alive")
    assert not head.has("connection", "upgrade")


@pytest.mark.parametrize("length", ["x", "-1", "5, 6", "1e3"])
def test_a_length_that_makes_no_sense_lasts_to_the_end(length: str) -> None:
    messages = Messages(REQUEST)
    messages.feed(f"GET / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
    head = messages.next()
    assert isinstance(head, Head)
    messages.body_is(head.body_size(0))
    messages.feed(b"anything")
    assert messages.next() == b"anything"
    assert messages.next() is None


def test_a_chunk_size_that_is_none_is_no_http() -> None:
    messages = Messages(REQUEST)
    messages.feed(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n")
    head = messages.next()
    assert isinstance(head, Head)
    messages.body_is(head.body_size(0))
    with pytest.raises(NotHttp):
        messages.next()
    assert messages.rest() == b"-5\r\n"


def test_a_message_without_a_body_ends_with_its_head() -> None:
    messages = Messages(RESPONSE)
    messages.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert isinstance(messages.next(), Head)
    messages.body_is(0)
    assert messages.next() is MessageEnd.END
