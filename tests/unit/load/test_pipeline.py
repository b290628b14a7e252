"""A connection that wants a login is used once it is let in; what waited for it is sent first."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from gameday.api.opening import TurnedAway
from gameday.load.messages import StreamPlan
from gameday.load.pipeline import PipelineClient, Reply
from gameday.model.operation import Outcome

MILLISECOND = 1_000_000


class MemoryLog:
    """Every operation's outcome."""

    def __init__(self) -> None:
        self.sent_ns: dict[int, int] = {}
        self.ended: dict[int, tuple[Outcome, str]] = {}

    def sent(self, slot: int, sent_ns: int) -> None:
        self.sent_ns[slot] = sent_ns

    def done(self, slot: int, done_ns: int, outcome: Outcome, error: str = "") -> None:
        assert slot not in self.ended
        self.ended[slot] = (outcome, error)


class Password:
    """Says a word, and is in when it is welcomed."""

    done = False

    def start(self) -> bytes:
        return b"please\n"

    def hear(self, data: bytes) -> bytes:
        if data != b"welcome\n":
            raise TurnedAway("go away")
        self.done = True
        return b""


class Lines:
    """Each value is a line, and so is each answer."""

    def __init__(self) -> None:
        self.opening = Password()
        self._heard = 0

    def write(self, number: int, value: int) -> bytes:
        return b"%d\n" % value

    def hear(self, data: bytes) -> Iterator[Reply]:
        for line in data.splitlines():
            self._heard += 1
            yield Reply(self._heard, Outcome.OK if line == b"ok" else Outcome.UNKNOWN)


async def served(welcome: bytes | None) -> tuple[MemoryLog, list[bytes], int]:
    """Offer three values to a server with that welcome; None: it hangs up, empty: it is silent."""
    log, lines = MemoryLog(), list[bytes]()
    open_writers: list[asyncio.StreamWriter] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.append(writer)
        lines.append(await reader.readline())
        if welcome is None:
            writer.close()
            return
        writer.write(welcome)
        while line := await reader.readline():
            lines.append(line)
            writer.write(b"ok\n")
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    plan = StreamPlan(
        name="probe",
        client="lines",
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        rate_per_s=100.0,
        deadline_ns=100 * MILLISECOND,
    )
    client = PipelineClient(plan, log, Lines)
    for value in (1, 2, 3):
        client.offer(value, value, time.monotonic_ns())
    async with asyncio.timeout(5):
        while client.outstanding:
            await asyncio.sleep(0.001)
        if welcome == b"":
            # Nobody logged in by the deadline: the connection is not kept.
            await over.wait()
    connections = len(open_writers)
    client.close()
    server.close()
    for writer in open_writers:
        writer.transport.abort()
    return log, lines, connections


def test_what_waits_for_a_login_is_sent_after_it() -> None:
    log, lines, connections = asyncio.run(served(b"welcome\n"))
    assert lines == [b"please\n", b"1\n", b"2\n", b"3\n"]
    assert set(log.ended.values()) == {(Outcome.OK, "")}
    assert connections == 1


def test_who_is_turned_away_has_sent_nothing() -> None:
    log, lines, _ = asyncio.run(served(b"no\n"))
    assert set(log.ended.values()) == {(Outcome.FAILED, "log in: go away")}
    assert lines == [b"please\n"]
    assert log.sent_ns == {}


def test_a_connection_that_ends_during_the_login_has_sent_nothing() -> None:
    log, _, _ = asyncio.run(served(None))
    assert set(log.ended.values()) == {(Outcome.FAILED, "log in: connection closed")}
    assert log.sent_ns == {}


def test_a_login_without_an_answer_ends_with_the_deadline_and_its_connection() -> None:
    log, _, _ = asyncio.run(served(b""))
    assert {outcome for outcome, _ in log.ended.values()} == {Outcome.FAILED}
    assert log.sent_ns == {}


def test_a_connection_that_hangs_does_not_keep_others_from_a_server_that_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the packet that asks for it was lost: it is sent again only after a second."""
    monkeypatch.setattr("gameday.load.pipeline._NEXT_DIAL_NS", 0)

    async def run() -> tuple[MemoryLog, int]:
        log, came = MemoryLog(), list[asyncio.StreamWriter]()
        first_came = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(writer)
            await reader.readline()
            first_came.set()
            if len(came) == 1:
                return
            writer.write(b"welcome\n")
            while await reader.readline():
                writer.write(b"ok\n")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = StreamPlan(
            name="probe",
            client="lines",
            host="127.0.0.1",
            port=port,
            rate_per_s=100.0,
            deadline_ns=5000 * MILLISECOND,
        )
        client = PipelineClient(plan, log, Lines)
        client.offer(1, 1, time.monotonic_ns())
        await asyncio.wait_for(first_came.wait(), 5)
        client.offer(2, 2, time.monotonic_ns())
        async with asyncio.timeout(4):
            while client.outstanding:
                await asyncio.sleep(0.001)
        client.offer(3, 3, time.monotonic_ns())
        async with asyncio.timeout(4):
            while client.outstanding:
                await asyncio.sleep(0.001)
        client.close()
        server.close()
        for writer in came:
            writer.transport.abort()
        return log, len(came)

    log, connections = asyncio.run(run())
    assert set(log.ended.values()) == {(Outcome.OK, "")}
    assert connections == 2
