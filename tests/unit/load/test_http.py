import asyncio
import errno
import json
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.load.http import HttpClient, parse_answer
from gameday.load.messages import StreamPlan
from gameday.model.operation import Outcome
from gameday.technologies.app.publish import judge_publish, publish_request
from gameday.testing.clocks import ManualClock

MILLISECOND = 1_000_000

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Handler = Callable[[Reader, Writer, int], Awaitable[None]]
"""Answers the request for one value; the connection is closed when it raises `Hangup`."""


class Hangup(Exception):
    """The server closes this connection, without an answer unless it has written one."""


class MemoryLog:
    """Every operation's times and outcome, and a failure when one ends twice."""

    def __init__(self) -> None:
        self.sent_ns: dict[int, int] = {}
        self.ended: dict[int, tuple[Outcome, str]] = {}
        self.done_ns: dict[int, int] = {}
        self.held_ns: list[int] = []

    def held(self, _at_ns: int, took_ns: int) -> None:
        self.held_ns.append(took_ns)

    def sent(self, slot: int, sent_ns: int) -> None:
        late = slot in self.sent_ns or slot in self.ended
        self.sent_ns[slot] = sent_ns
        assert not late

    def done(self, slot: int, done_ns: int, outcome: Outcome, error: str = "") -> None:
        assert slot not in self.ended
        self.ended[slot] = (outcome, error)
        self.done_ns[slot] = done_ns


class Server:
    """Answers on loopback as its handler says, and counts."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.values: list[int] = []
        self.port = 0
        self._writers: list[Writer] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                value = json.loads(await reader.readexactly(length))["id"]
                self.values.append(value)
                await self.handler(reader, writer, value)
        except (Hangup, asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def answer(status: int, body: str, extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}".encode()


async def acknowledge(_reader: Reader, writer: Writer, value: int) -> None:
    writer.write(answer(200, f'{{"ack":{value}}}'))


def _client(
    log: MemoryLog,
    port: int,
    deadline_ms: int,
    *,
    most: int = 1000,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> HttpClient:
    plan = StreamPlan(
        name="publish",
        client="publish",
        host="127.0.0.1",
        port=port,
        rate_per_s=100.0,
        deadline_ns=deadline_ms * MILLISECOND,
    )
    request = publish_request("ab", "127.0.0.1", port)
    return HttpClient(plan, log, request, judge_publish, most=most, held=log.held, now_ns=now_ns)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def _all_ended(client: HttpClient) -> None:
    await _until(lambda: not client.outstanding)


def _offer(client: HttpClient, *values: int, due_ns: int | None = None) -> None:
    for value in values:
        client.offer(value, value, time.monotonic_ns() if due_ns is None else due_ns)


def _outcomes(handler: Handler, count: int = 1, deadline_ms: int = 1000) -> MemoryLog:
    """Return what became of `count` operations that were due at once."""

    async def run() -> MemoryLog:
        log = MemoryLog()
        async with Server(handler) as server:
            client = _client(log, server.port, deadline_ms)
            _offer(client, *range(1, count + 1))
            await _all_ended(client)
            client.close()
        return log

    return asyncio.run(run())


def test_an_acknowledged_signal_is_ok_and_was_sent_before_it_was_done() -> None:
    log = _outcomes(acknowledge)
    assert log.ended == {1: (Outcome.OK, "")}
    assert log.sent_ns[1] < log.done_ns[1]


@pytest.mark.parametrize(
    ("status", "body", "outcome", "error"),
    [
        (200, '{"ack":99}', Outcome.UNKNOWN, "200, but it does not acknowledge"),
        (503, '{"error":"breaker open"}', Outcome.FAILED, "503 breaker open"),
        (504, '{"error":"no reply"}', Outcome.UNKNOWN, "504 no reply"),
        (500, "", Outcome.UNKNOWN, "500"),
        (404, "", Outcome.FAILED, "404"),
    ],
)
def test_the_answer_decides_the_outcome(
    status: int, body: str, outcome: Outcome, error: str
) -> None:
    async def handler(_reader: Reader, writer: Writer, _value: int) -> None:
        writer.write(answer(status, body))

    seen, text = _outcomes(handler).ended[1]
    assert seen is outcome
    assert text.startswith(error)


def test_a_connection_closed_after_the_request_leaves_it_unknown() -> None:
    async def handler(*_: object) -> None:
        raise Hangup

    assert _outcomes(handler).ended[1] == (
        Outcome.UNKNOWN,
        "connection closed after the request was sent",
    )


def test_a_connection_reset_after_the_request_leaves_it_unknown() -> None:
    async def handler(_reader: Reader, writer: Writer, _value: int) -> None:
        end = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raise Hangup

    assert _outcomes(handler).ended[1] == (
        Outcome.UNKNOWN,
        "connection reset after the request was sent",
    )


def test_a_connection_closed_in_the_middle_of_an_answer_leaves_it_unknown() -> None:
    async def handler(_reader: Reader, writer: Writer, _value: int) -> None:
        writer.write(answer(200, '{"ack":1}')[:-3])
        raise Hangup

    assert _outcomes(handler).ended[1][0] is Outcome.UNKNOWN


def test_an_answer_in_pieces_is_one_answer() -> None:
    async def handler(_reader: Reader, writer: Writer, value: int) -> None:
        for byte in answer(200, f'{{"ack":{value}}}'):
            writer.write(bytes([byte]))
            await writer.drain()

    assert _outcomes(handler, count=3).ended.keys() == {1, 2, 3}


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def handler(_reader: Reader, writer: Writer, value: int) -> None:
        writer.write(f'HTTP/1.1 200 OK\r\n\r\n{{"ack":{value}}}'.encode())
        raise Hangup

    assert _outcomes(handler, count=2).ended == {1: (Outcome.OK, ""), 2: (Outcome.OK, "")}


def test_what_is_no_http_leaves_the_request_unknown() -> None:
    async def handler(_reader: Reader, writer: Writer, _value: int) -> None:
        writer.write(b"-ERR unknown command\r\n\r\n")

    assert _outcomes(handler).ended[1] == (Outcome.UNKNOWN, "not an HTTP answer")


def test_a_request_without_an_answer_is_unknown_at_its_deadline_and_its_connection_is_closed() -> (
    None
):
    async def run() -> None:
        log = MemoryLog()
        hung_up = asyncio.Event()

        async def handler(reader: Reader, _writer: Writer, _value: int) -> None:
            assert await reader.read(1) == b""
            hung_up.set()
            raise Hangup

        clock = ManualClock()
        async with Server(handler) as server:
            client = _client(log, server.port, 50, now_ns=clock.now_ns)
            due_ns = clock.now_ns()
            client.offer(1, 1, due_ns)
            await _until(lambda: server.values == [1])
            assert log.ended == {}
            clock.sleep_ns(50 * MILLISECOND)
            await _all_ended(client)
            await asyncio.wait_for(hung_up.wait(), 5)
            client.close()
        assert log.ended[1] == (Outcome.UNKNOWN, "no answer before the deadline")
        assert log.done_ns[1] - due_ns == 50 * MILLISECOND

    asyncio.run(run())


def test_a_late_answer_cannot_be_taken_for_that_of_the_next_request() -> None:
    async def handler(_reader: Reader, writer: Writer, value: int) -> None:
        if value == 1:
            await asyncio.sleep(0.06)
        await acknowledge(_reader, writer, value)

    async def run() -> MemoryLog:
        log = MemoryLog()
        async with Server(handler) as server:
            client = _client(log, server.port, 50)
            _offer(client, 1)
            await _all_ended(client)
            _offer(client, 2)
            await _all_ended(client)
            client.close()
        return log

    log = asyncio.run(run())
    assert [log.ended[slot][0] for slot in (1, 2)] == [Outcome.UNKNOWN, Outcome.OK]


def test_a_refused_connection_is_a_failure_and_nothing_was_sent() -> None:
    async def run() -> MemoryLog:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            log = MemoryLog()
            client = _client(log, taken.getsockname()[1], 1000)
            await client.warm_up()
            _offer(client, *range(1, 201))
            await _all_ended(client)
            client.close()
        return log

    log = asyncio.run(run())
    assert set(log.ended.values()) == {(Outcome.FAILED, "connect: Connection refused")}
    assert len(log.ended) == 200
    assert log.sent_ns == {}


def test_a_service_that_answers_nothing_gets_every_operation_on_a_connection_of_its_own() -> None:
    """Behind a pool of 64 it would never get the rest, and what it held would look like a wait."""
    arrived: list[int] = []
    all_arrived = asyncio.Event()

    async def handler(reader: Reader, writer: Writer, value: int) -> None:
        arrived.append(value)
        if len(arrived) == 200:
            all_arrived.set()
        await all_arrived.wait()
        await acknowledge(reader, writer, value)

    log = _outcomes(handler, count=200, deadline_ms=4000)
    assert set(log.ended.values()) == {(Outcome.OK, "")}
    assert max(log.sent_ns.values()) < min(log.done_ns.values())
    assert log.held_ns == []


def test_a_host_without_descriptors_holds_what_waits_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> MemoryLog:
        log = MemoryLog()
        async with Server(acknowledge) as server:
            client = _client(log, server.port, 200)

            async def none_left(*_: object) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

            loop = asyncio.get_running_loop()
            with monkeypatch.context() as patched:
                patched.setattr(loop, "create_connection", none_left)
                _offer(client, 1, 2)
                await asyncio.sleep(0.02)
                assert log.ended == {}
            await asyncio.sleep(0.06)
            _offer(client, 3)
            await _all_ended(client)
            client.close()
        return log

    log = asyncio.run(run())
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.OK}
    assert len(log.held_ns) == 2
    assert min(log.held_ns) > 50 * MILLISECOND


def test_connections_are_bounded_and_what_waits_for_one_is_the_drivers_own_delay() -> None:
    async def handler(*_: object) -> None:
        await asyncio.sleep(3600)

    async def run() -> tuple[MemoryLog, int]:
        log, clock = MemoryLog(), ManualClock()
        async with Server(handler) as server:
            client = _client(log, server.port, 500, most=8, now_ns=clock.now_ns)
            _offer(client, *range(1, 13), due_ns=clock.now_ns())
            await _until(lambda: len(server.values) == 8)
            clock.sleep_ns(500 * MILLISECOND)
            await _all_ended(client)
            await _until(lambda: server.connections > 8)
            client.close()
            return log, server.connections

    log, connections = asyncio.run(run())
    outcomes = [log.ended[slot] for slot in range(1, 13)]
    assert outcomes[:8] == [(Outcome.UNKNOWN, "no answer before the deadline")] * 8
    assert outcomes[8:] == [(Outcome.FAILED, "not sent before the deadline")] * 4
    assert set(log.sent_ns) == set(range(1, 9))
    assert connections > 8, "those that were closed are replaced"
    assert log.held_ns == [500 * MILLISECOND] * 4


def test_what_waits_is_sent_in_its_order_when_a_connection_is_free() -> None:
    gate = asyncio.Event()

    async def handler(reader: Reader, writer: Writer, value: int) -> None:
        await gate.wait()
        await acknowledge(reader, writer, value)

    async def run() -> tuple[MemoryLog, list[int], int]:
        log = MemoryLog()
        async with Server(handler) as server:
            client = _client(log, server.port, 5000, most=64)
            _offer(client, *range(1, 101))
            while len(server.values) < 64:
                await asyncio.sleep(0.001)
            gate.set()
            await _all_ended(client)
            client.close()
            return log, server.values, server.connections

    log, values, connections = asyncio.run(run())
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.OK}
    assert sorted(log.sent_ns, key=lambda slot: (log.sent_ns[slot], slot)) == list(range(1, 101))
    assert sorted(values) == list(range(1, 101))
    assert connections == 64
    assert len(log.held_ns) == 36


def test_one_connection_serves_requests_that_do_not_overlap() -> None:
    async def run() -> int:
        log = MemoryLog()
        async with Server(acknowledge) as server:
            client = _client(log, server.port, 1000)
            await client.warm_up()
            for value in range(1, 21):
                _offer(client, value)
                await _all_ended(client)
            client.close()
            return server.connections

    assert asyncio.run(run()) == 1


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gameday.load.http._LONGEST_IDLE_NS", -1)

    async def run() -> int:
        log = MemoryLog()
        async with Server(acknowledge) as server:
            client = _client(log, server.port, 1000)
            for value in (1, 2):
                _offer(client, value)
                await _all_ended(client)
            client.close()
            return server.connections

    assert asyncio.run(run()) == 2


def test_a_server_that_comes_back_is_used_again_and_idle_losses_cost_nothing() -> None:
    async def run() -> tuple[MemoryLog, int]:
        log = MemoryLog()
        first = Server(acknowledge)
        async with first:
            client = _client(log, first.port, 1000)
            _offer(client, 1, 2, 3)
            await _all_ended(client)
        await asyncio.sleep(0.01)
        second = Server(acknowledge)
        second.port = first.port
        async with second:
            _offer(client, 4, 5)
            await _all_ended(client)
            client.close()
        return log, second.connections

    log, connections = asyncio.run(run())
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.OK}
    assert connections == 2


def test_a_connection_that_the_server_will_close_is_not_used_again() -> None:
    async def handler(_reader: Reader, writer: Writer, value: int) -> None:
        writer.write(answer(200, f'{{"ack":{value}}}', "Connection: close\r\n"))

    async def run() -> tuple[MemoryLog, int]:
        log = MemoryLog()
        async with Server(handler) as server:
            client = _client(log, server.port, 1000)
            for value in (1, 2, 3):
                _offer(client, value)
                await _all_ended(client)
            client.close()
            return log, server.connections

    log, connections = asyncio.run(run())
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.OK}
    assert connections == 3


WHOLE = answer(200, '{"ack":1}')


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_no_part_of_an_answer_is_a_whole_one(cut: int) -> None:
    assert parse_answer(WHOLE[:cut]) is None


def test_bytes_beyond_an_answer_spoil_the_connection() -> None:
    seen = parse_answer(WHOLE + b"HTTP/1.1 200 OK")
    assert seen is not None
    assert (seen.status, seen.body, seen.keep) == (200, b'{"ack":1}', False)


@given(data=st.binary(max_size=60), closed=st.booleans())
def test_any_bytes_are_an_answer_or_none_or_a_value_error(data: bytes, closed: bool) -> None:
    for noise in (data, b"HTTP/1.1 " + data, WHOLE[:30] + data):
        try:
            parse_answer(noise, closed=closed)
        except ValueError as error:
            assert "answer" in str(error)  # noqa: PT017
