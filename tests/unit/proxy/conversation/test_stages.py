import heapq
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.proxy.conversation.rules import Action, Rule, RuleBook
from gameday.proxy.conversation.stages import Conversation
from gameday.proxy.timer import Entry
from gameday.proxy.toxics import End

MS = 1_000_000


class ManualTimer:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.time_ns = 0
        self._entries: list[Entry] = []

    def now_ns(self) -> int:
        return self.time_ns

    def at(self, deadline_ns: int, callback: Callable[[], None]) -> Entry:
        entry = Entry(deadline_ns, len(self._entries), callback)
        heapq.heappush(self._entries, entry)
        return entry

    def cancel(self, entry: Entry | None) -> None:
        if entry is not None:
            entry.callback = None

    def pass_ms(self, ms: int) -> None:
        self.time_ns += ms * MS
        while self._entries and self._entries[0].deadline_ns <= self.time_ns:
            callback = heapq.heappop(self._entries).callback
            if callback is not None:
                callback()


class RequestPath:
    """One direction: what came out of it."""

    def __init__(self, timer: ManualTimer) -> None:
        self._timer = timer
        self.out = b""
        self.ends: list[End] = []
        self.resets = 0

    @property
    def timer(self) -> ManualTimer:
        return self._timer

    def balance(self) -> None: ...

    def reset(self) -> None:
        self.resets += 1

    def data(self, chunk: bytes) -> None:
        self.out += chunk

    def end(self, how: End) -> None:
        self.ends.append(how)


class Exchange:
    """A conversation between nobody and nobody."""

    def __init__(self, *rules: Rule) -> None:
        self.timer = ManualTimer()
        self.there = RequestPath(self.timer)
        self.back = RequestPath(self.timer)
        self.book = RuleBook()
        for rule in rules:
            self.book.add(rule)
        conversation = Conversation(self.book, lambda rule: Random(rule.name))
        self.requests = conversation.request_stage(self.there, self.there)
        self.responses = conversation.response_stage(self.back, self.back)

    def ask(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.requests.data(piece)

    def answer(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.responses.data(piece)


GET = b"GET /a HTTP/1.1\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nwork"
CHUNKED_POST = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwork\r\n0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
OPEN_OK = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 4\r\n\r\nnope"
)


def unavailable(path: str = "/b") -> Rule:
    return Rule(name="s", action=Action.STATUS, path=path, status=503, body="nope")


def cut(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=10)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(st.data())
def test_without_a_rule_that_meets_it_every_byte_passes_unchanged(data: st.DataObject) -> None:
    exchange = Exchange(Rule(name="other", action=Action.ABORT, path="/nobody"))
    asked = GET + POST + CHUNKED_POST + GET + GET
    answered = OK + CHUNKED_OK + b"HTTP/1.1 100 Continue\r\n\r\n" + OK + CHUNKED_OK + OPEN_OK
    exchange.ask(*cut(asked, data))
    exchange.answer(*cut(answered, data))
    assert exchange.there.out == asked
    assert exchange.back.out == answered
    assert exchange.book.requests == 5


@pytest.mark.parametrize("post", [POST, CHUNKED_POST])
def test_a_request_that_a_rule_answers_never_reaches_the_upstream(post: bytes) -> None:
    exchange = Exchange(unavailable())
    exchange.ask(post[:-2])
    assert exchange.back.out == b""
    exchange.ask(post[-2:])
    assert exchange.there.out == b""
    assert exchange.back.out == UNAVAILABLE
    exchange.ask(GET)
    exchange.answer(OK)
    assert exchange.there.out == GET
    assert exchange.back.out == UNAVAILABLE + OK


def test_answers_come_in_the_order_of_the_requests() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(GET + POST + GET)
    assert exchange.there.out == GET + GET
    assert exchange.back.out == b""
    exchange.answer(OK[:-1])
    assert exchange.back.out == OK[:-1]
    exchange.answer(OK[-1:] + CHUNKED_OK)
    assert exchange.back.out == OK + UNAVAILABLE + CHUNKED_OK


def test_a_head_request_is_answered_without_a_body() -> None:
    exchange = Exchange(unavailable("/a"))
    exchange.ask(HEAD)
    assert exchange.back.out == UNAVAILABLE.removesuffix(b"nope")


def test_the_answer_to_a_head_request_has_no_body_to_wait_for() -> None:
    exchange = Exchange()
    exchange.ask(HEAD + GET)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    exchange.answer(head + OK)
    assert exchange.back.out == head + OK
    assert exchange.book.not_http == 0


def test_a_client_that_asks_before_its_body_is_answered_and_the_connection_ends() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(b"POST /b HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert exchange.back.out.startswith(b"HTTP/1.1 503 ")
    assert b"Connection: close\r\n" in exchange.back.out
    assert exchange.back.ends == [End.CLOSE]
    exchange.ask(b"work")
    assert exchange.there.out == b""


@pytest.mark.parametrize(
    "post", [b"POST /b HTTP/1.0\r\n\r\n", b"POST /b HTTP/1.1\r\nConnection: close\r\n\r\n"]
)
def test_a_client_that_wants_no_more_sees_the_end_after_its_answer(post: bytes) -> None:
    exchange = Exchange(unavailable())
    exchange.ask(post)
    assert b"Connection: close\r\n" in exchange.back.out
    assert exchange.back.ends == [End.CLOSE]


def test_an_aborted_request_resets_the_connection_after_the_answers_before_it() -> None:
    exchange = Exchange(Rule(name="a", action=Action.ABORT, path="/b"))
    exchange.ask(GET + POST)
    assert exchange.back.resets == 0
    exchange.answer(OK)
    assert exchange.back.out == OK
    assert exchange.back.resets == 1
    assert exchange.there.out == GET


def test_a_delayed_request_arrives_late_and_none_overtakes_it() -> None:
    exchange = Exchange(Rule(name="d", action=Action.DELAY, path="/b", delay_ms=50))
    exchange.ask(GET + POST + GET)
    exchange.requests.end(End.EOF)
    assert exchange.there.out == GET
    assert exchange.requests.held_bytes == len(POST + GET)
    exchange.answer(OK)
    exchange.timer.pass_ms(49)
    assert exchange.there.out == GET
    exchange.timer.pass_ms(1)
    assert exchange.there.out == GET + POST + GET
    assert exchange.requests.held_bytes == 0
    assert exchange.there.ends == [End.EOF]


def test_removing_a_rule_lets_go_what_it_delays() -> None:
    rule = Rule(name="d", action=Action.DELAY, delay_ms=50_000)
    exchange = Exchange(rule)
    exchange.ask(POST)
    assert exchange.there.out == b""
    exchange.book.remove(rule)
    assert exchange.there.out == POST
    exchange.timer.pass_ms(100_000)
    assert exchange.there.out == POST


@pytest.mark.parametrize("answer", [OK, CHUNKED_OK, OPEN_OK])
def test_a_replaced_body_follows_a_head_that_fits_it(answer: bytes) -> None:
    exchange = Exchange(Rule(name="b", action=Action.BODY, path="/b", body="broken"))
    exchange.ask(POST)
    assert exchange.there.out == POST
    exchange.answer(answer)
    assert exchange.back.out == b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbroken"
    if answer is not OPEN_OK:
        exchange.ask(GET)
        exchange.answer(OK)
        assert exchange.back.out.endswith(b"broken" + OK)


def test_an_upgrade_that_is_accepted_ends_http() -> None:
    exchange = Exchange(unavailable())
    upgrade = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    exchange.ask(upgrade, POST)
    assert exchange.there.out == upgrade
    exchange.answer(switched + b"\x81\x02hi", b"\x00")
    exchange.ask(b"\x81\x82")
    assert exchange.there.out == upgrade + POST + b"\x81\x82"
    assert exchange.back.out == switched + b"\x81\x02hi\x00"


def test_an_upgrade_that_is_declined_lets_http_go_on() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(b"GET /ws HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", POST)
    exchange.answer(OK)
    assert exchange.back.out == OK + UNAVAILABLE


def test_what_is_no_http_passes_both_ways_and_is_counted() -> None:
    exchange = Exchange(unavailable("*"))
    exchange.ask(b"*1\r\n$4\r\nPING\r\n")
    exchange.answer(b"+PONG\r\n")
    exchange.ask(POST)
    assert exchange.there.out == b"*1\r\n$4\r\nPING\r\n" + POST
    assert exchange.back.out == b"+PONG\r\n"
    assert (exchange.book.requests, exchange.book.not_http) == (0, 1)


def test_a_server_that_speaks_first_is_heard() -> None:
    exchange = Exchange()
    exchange.answer(b"220 mail ready\r\n")
    exchange.ask(b"EHLO x\r\n")
    assert exchange.back.out == b"220 mail ready\r\n"
    assert exchange.there.out == b"EHLO x\r\n"


def test_an_end_passes_with_all_that_came_before_it() -> None:
    exchange = Exchange()
    exchange.ask(GET + b"GET /half")
    exchange.requests.end(End.EOF)
    exchange.answer(OK + b"HTTP/1.1 2")
    exchange.responses.end(End.EOF)
    assert exchange.there.out == GET + b"GET /half"
    assert exchange.back.out == OK + b"HTTP/1.1 2"
    assert exchange.there.ends == exchange.back.ends == [End.EOF]


def test_a_connection_that_is_over_holds_nothing_and_says_nothing() -> None:
    rule = Rule(name="d", action=Action.DELAY, delay_ms=50)
    exchange = Exchange(rule)
    exchange.ask(POST)
    exchange.requests.drop()
    exchange.responses.drop()
    exchange.book.remove(rule)
    exchange.timer.pass_ms(100)
    assert exchange.there.out == b""
    assert not exchange.book._listeners


def test_what_comes_after_the_connection_is_over_goes_nowhere() -> None:
    exchange = Exchange()
    exchange.requests.drop()
    exchange.responses.drop()
    exchange.ask(GET)
    exchange.answer(OK)
    assert (exchange.there.out, exchange.back.out) == (b"", b"")


def test_an_interim_answer_is_not_the_answer() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    exchange.ask(b"hi" + POST)
    exchange.answer(OK)
    assert exchange.back.out.endswith(OK + UNAVAILABLE)


def test_a_request_that_is_still_coming_is_not_answered_before_it_is_there() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(GET + POST[:-2])
    exchange.answer(OK)
    assert exchange.back.out == OK
    exchange.ask(POST[-2:])
    assert exchange.back.out == OK + UNAVAILABLE


def test_no_more_is_answered_to_a_client_that_does_not_read_until_it_does() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(POST)
    exchange.responses.crowded(True)
    exchange.ask(POST * 1000 + GET, POST)
    assert exchange.back.out == UNAVAILABLE
    assert exchange.there.out == b""
    assert exchange.requests.held_bytes > 998 * len(POST)
    exchange.responses.crowded(False)
    assert exchange.back.out == UNAVAILABLE * 1001
    exchange.answer(OK)
    assert exchange.back.out == UNAVAILABLE * 1001 + OK + UNAVAILABLE
    assert exchange.there.out == GET
    assert exchange.requests.held_bytes == 0


def test_what_the_upstream_said_waits_behind_an_answer_that_a_client_has_to_make_room_for() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(GET, POST, GET)
    exchange.responses.crowded(True)
    exchange.answer(OK + CHUNKED_OK)
    exchange.responses.end(End.EOF)
    assert (exchange.back.out, exchange.back.ends) == (OK, [])
    exchange.responses.crowded(False)
    assert exchange.back.out == OK + UNAVAILABLE + CHUNKED_OK
    assert exchange.back.ends == [End.EOF]


def test_an_upstream_that_does_not_answer_holds_up_requests_that_come_in_thousands() -> None:
    exchange = Exchange(unavailable())
    exchange.ask(GET, POST * 5000)
    assert exchange.requests.held_bytes > 3500 * len(POST)
    exchange.answer(OK)
    assert exchange.back.out == OK + UNAVAILABLE * 5000
    assert exchange.requests.held_bytes == 0


def test_a_client_that_does_not_read_does_not_hold_up_what_the_upstream_is_asked() -> None:
    exchange = Exchange(unavailable())
    exchange.responses.crowded(True)
    exchange.ask(GET * 1000)
    assert exchange.there.out == GET * 1000
