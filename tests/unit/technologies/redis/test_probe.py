import asyncio
import socket
import time
from collections.abc import Callable
from typing import Self

from gameday.load.client import Terms
from gameday.load.messages import StreamPlan
from gameday.load.pipeline import PipelineClient, Reply
from gameday.model.operation import Outcome
from gameday.technologies.redis.probe import WRITE, RedisCodec

MILLISECOND = 1_000_000

Answer = Callable[[asyncio.StreamWriter, int], None]
"""Answers the SET of one value."""


class MemoryLog:
    """Every operation's outcome, and a failure when one ends twice."""

    def __init__(self) -> None:
        self.sent_ns: dict[int, int] = {}
        self.ended: dict[int, tuple[Outcome, str]] = {}

    def sent(self, slot: int, sent_ns: int) -> None:
        self.sent_ns[slot] = sent_ns

    def done(self, slot: int, done_ns: int, outcome: Outcome, error: str = "") -> None:
        assert done_ns > 0
        assert slot not in self.ended
        self.ended[slot] = (outcome, error)


class Server:
    """Reads SET commands on loopback and answers as it is told."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self.answer = answer
        self.port = port
        self.connections = 0
        self.commands: list[tuple[bytes, bytes]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        while (line := await reader.readline()) and not writer.is_closing():
            assert line == b"*3\r\n"
            words = []
            for _ in range(3):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            assert words[0] == b"SET"
            self.commands.append((words[1], words[2]))
            self.answer(writer, int(words[2]))
        writer.close()


def _ok(writer: asyncio.StreamWriter, _value: int) -> None:
    writer.write(b"+OK\r\n")


def _client(log: MemoryLog, port: int, deadline_ms: int = 1000) -> PipelineClient:
    plan = StreamPlan(
        name="probe-front",
        client="redis-write",
        host="127.0.0.1",
        port=port,
        rate_per_s=100.0,
        deadline_ns=deadline_ms * MILLISECOND,
    )
    terms = Terms(run="r", address=plan.host, most=1, held=lambda *_: None)
    return WRITE.open(plan, log, terms)


def _offer(client: PipelineClient, *values: int) -> None:
    for value in values:
        client.offer(value, value, time.monotonic_ns())


async def _all_ended(client: PipelineClient) -> None:
    async with asyncio.timeout(5):
        while client.outstanding:
            await asyncio.sleep(0.001)


async def _answered(answer: Answer, *values: int, deadline_ms: int = 1000) -> MemoryLog:
    log = MemoryLog()
    async with Server(answer) as server:
        client = _client(log, server.port, deadline_ms)
        _offer(client, *values)
        await _all_ended(client)
        client.close()
    return log


def test_commands_share_one_connection_and_write_the_streams_key() -> None:
    async def run() -> tuple[MemoryLog, Server]:
        log = MemoryLog()
        async with Server(_ok) as server:
            client = _client(log, server.port)
            _offer(client, 1, 2, 30)
            await _all_ended(client)
            client.close()
        return log, server

    log, server = asyncio.run(run())
    assert log.ended == {1: (Outcome.OK, ""), 2: (Outcome.OK, ""), 30: (Outcome.OK, "")}
    key = b"gameday:probe:probe-front"
    assert server.commands == [(key, b"1"), (key, b"2"), (key, b"30")]
    assert server.connections == 1


def test_an_error_reply_is_a_failure_and_belongs_to_its_own_command() -> None:
    def answer(writer: asyncio.StreamWriter, value: int) -> None:
        writer.write(b"-LOADING wait\r\n" if value == 2 else b"+OK\r\n")

    log = asyncio.run(_answered(answer, 1, 2, 3))
    assert log.ended == {
        1: (Outcome.OK, ""),
        2: (Outcome.FAILED, "LOADING wait"),
        3: (Outcome.OK, ""),
    }


def test_replies_in_pieces_are_whole_replies() -> None:
    def answer(writer: asyncio.StreamWriter, value: int) -> None:
        writer.write(b"+O" if value == 1 else b"K\r\n+OK\r\n")

    assert asyncio.run(_answered(answer, 1, 2)).ended == {1: (Outcome.OK, ""), 2: (Outcome.OK, "")}


def test_a_reply_that_no_set_has_leaves_all_that_were_sent_unknown() -> None:
    def answer(writer: asyncio.StreamWriter, value: int) -> None:
        if value == 2:
            writer.write(b"$2\r\nhi\r\n")

    log = asyncio.run(_answered(answer, 1, 2, 3))
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.UNKNOWN}
    errors = [log.ended[slot][1] for slot in (1, 2, 3)]
    assert errors == [
        "not the answer to what was asked",
        *["connection closed after the command was sent"] * 2,
    ]


def test_a_connection_that_ends_leaves_what_was_sent_unknown() -> None:
    def answer(writer: asyncio.StreamWriter, value: int) -> None:
        if value == 2:
            writer.transport.abort()

    log = asyncio.run(_answered(answer, 1, 2))
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.UNKNOWN}
    assert all("after the command was sent" in error for _, error in log.ended.values())


def test_a_refused_connection_fails_all_that_waited_and_each_later_one_tries_again() -> None:
    async def run() -> tuple[MemoryLog, int]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            log = MemoryLog()
            client = _client(log, port)
            _offer(client, 1, 2, 3)
            await _all_ended(client)
            _offer(client, 4)
            await _all_ended(client)
        async with Server(_ok, port) as server:
            _offer(client, 5)
            await _all_ended(client)
            client.close()
            return log, server.connections

    log, connections = asyncio.run(run())
    assert [log.ended[slot] for slot in (1, 2, 3, 4)] == [
        (Outcome.FAILED, "connect: Connection refused")
    ] * 4
    assert log.ended[5] == (Outcome.OK, "")
    assert set(log.sent_ns) == {5}
    assert connections == 1


def test_no_answer_by_the_deadline_is_unknown_and_the_next_command_has_a_new_connection() -> None:
    def answer(writer: asyncio.StreamWriter, value: int) -> None:
        if value > 1:
            _ok(writer, value)

    async def run() -> tuple[MemoryLog, int]:
        log = MemoryLog()
        async with Server(answer) as server:
            client = _client(log, server.port, 50)
            _offer(client, 1)
            await _all_ended(client)
            _offer(client, 2)
            await _all_ended(client)
            client.close()
            return log, server.connections

    log, connections = asyncio.run(run())
    assert log.ended == {
        1: (Outcome.UNKNOWN, "no answer before the deadline"),
        2: (Outcome.OK, ""),
    }
    assert connections == 2


def test_a_slow_connection_gets_nothing_new_and_is_closed_when_its_last_command_has_ended() -> None:
    held: list[asyncio.StreamWriter] = []

    async def run() -> MemoryLog:
        log = MemoryLog()
        async with Server(lambda writer, _value: held.append(writer)) as server:
            client = _client(log, server.port, 100)
            await client.warm_up()
            _offer(client, 1)
            await asyncio.sleep(0.06)
            _offer(client, 2)
            while 1 not in log.ended:
                await asyncio.sleep(0.001)
            _offer(client, 3)
            held[0].write(b"+OK\r\n+OK\r\n")
            async with asyncio.timeout(5):
                while held[-1] is held[0] or not held[0].is_closing():
                    await asyncio.sleep(0.001)
            held[-1].write(b"+OK\r\n")
            await _all_ended(client)
            client.close()
        return log

    assert asyncio.run(run()).ended == {
        1: (Outcome.UNKNOWN, "no answer before the deadline"),
        2: (Outcome.OK, ""),
        3: (Outcome.OK, ""),
    }


def test_an_operation_that_found_no_connection_in_time_was_never_sent() -> None:
    async def run() -> MemoryLog:
        log = MemoryLog()
        with socket.socket() as full, socket.socket() as other, socket.socket() as third:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for filler in (other, third):
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            client = _client(log, full.getsockname()[1], 50)
            _offer(client, 1)
            await _all_ended(client)
            client.close()
        return log

    log = asyncio.run(run())
    assert log.ended[1][0] is Outcome.FAILED
    assert log.sent_ns == {}


def test_a_probe_that_may_not_write_asks_for_its_key() -> None:
    said = RedisCodec("probe-copy", reads=True)
    assert said.write(1, 7) == b"*2\r\n$6\r\nEXISTS\r\n$24\r\ngameday:probe:probe-copy\r\n"
    assert list(said.hear(b":0\r\n-MASTERDOWN Link\r\n+OK\r\n")) == [
        Reply(1, Outcome.OK),
        Reply(2, Outcome.FAILED, "MASTERDOWN Link"),
        Reply(3, Outcome.UNKNOWN, "not the answer to what was asked"),
    ]
