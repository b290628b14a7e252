"""What a side reads before the other side is there is not lost, whichever asyncio runs it."""

import asyncio
from random import Random

from gameday.proxy.address import Address
from gameday.proxy.connection import ProxiedConnection
from gameday.proxy.timer import DeadlineTimer
from gameday.proxy.toxic_chain import Draws, ToxicChain


class Wire(asyncio.Transport):
    """A transport in memory that starts paused, as asyncio's does after `connection_made`."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.calls.append("eof")

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.calls.append("close")


def test_bytes_and_an_end_that_came_early_arrive_in_order() -> None:
    async def play() -> tuple[Wire, Wire]:
        connection = ProxiedConnection(
            toxics=ToxicChain(),
            timer=DeadlineTimer(asyncio.get_running_loop()),
            number=1,
            client=Address(host="127.0.0.1", port=40_000),
            draws=lambda _: Draws(Random(0), Random(0)),
            over=lambda _: None,
            heard=lambda: None,
        )
        client, upstream = Wire(), Wire()
        connection.client.connection_made(client)
        connection.client.data_received(b"early ")
        connection.client.data_received(b"birds")
        connection.client.eof_received()
        assert client.calls == ["pause", "resume", "pause", "resume", "pause"]
        connection.upstream.connection_made(upstream)
        connection.join()
        return client, upstream

    _, upstream = asyncio.run(play())
    assert upstream.written == b"early birds"
    assert "eof" in upstream.calls
