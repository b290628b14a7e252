import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from gameday.proxy import proxy as proxy_module
from gameday.proxy.address import Address, parse_address
from gameday.proxy.proxy import Proxy, ProxyConfig
from gameday.proxy.timer import DeadlineTimer
from gameday.proxy.toxic_chain import NamedToxic, Stream
from gameday.proxy.toxics import TOXICS


def with_proxy(
    upstream: socket.socket, use: Callable[[Proxy, Address], Awaitable[None]], *, seed: int = 1
) -> None:
    """Run `use` with a proxy before `upstream`, in this process, on loopback."""

    async def run() -> None:
        timer = DeadlineTimer(asyncio.get_running_loop())
        proxy = Proxy(
            name="p",
            listen="127.0.0.1:0",
            address=Address(host="127.0.0.1", port=0),
            upstream=f"127.0.0.1:{upstream.getsockname()[1]}",
            around=ProxyConfig(timer=timer, seed=seed),
        )
        proxy.enable()
        try:
            async with asyncio.timeout(30):
                await use(proxy, parse_address(proxy.listen))
        finally:
            proxy.delete()
            await asyncio.sleep(0)
            timer.close()

    asyncio.run(run())


def test_a_client_whose_dial_hangs_sees_the_end_before_disable_returns() -> None:
    # A listener whose queue is full lets further dials hang, as a lost packet does.
    with socket.socket() as full, socket.socket() as filler:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filler.connect(full.getsockname())

        async def use(proxy: Proxy, listen: Address) -> None:
            with socket.create_connection((listen.host, listen.port)) as client:
                client.setblocking(False)
                while not proxy.connections_open:
                    await asyncio.sleep(0)
                await asyncio.sleep(0)
                proxy.disable()
                assert client.recv(1) == b""
            await asyncio.sleep(0.01)
            assert (proxy.connections_open, proxy.connections_total) == (0, 1)

        with_proxy(full, use)


def drawn(seed: int) -> list[bool]:
    """Tell for each of 20 connections whether a toxic of toxicity 0.5 met it: it is cut then.

    What the server says arrives on those that it did not meet.
    """
    met: list[bool] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as upstream:
        upstream.setblocking(False)

        async def use(proxy: Proxy, listen: Address) -> None:
            attributes = TOXICS["timeout"].made({"timeout": 1})
            proxy.toxics.add(
                NamedToxic(
                    name="t",
                    kind="timeout",
                    stream_text="downstream",
                    toxicity=0.5,
                    attributes=attributes,
                )
            )
            loop = asyncio.get_running_loop()
            for _ in range(20):
                reader, writer = await asyncio.open_connection(listen.host, listen.port)
                server, _ = await loop.sock_accept(upstream)
                with server:
                    with suppress(OSError):  # it is cut already
                        await loop.sock_sendall(server, b"x")
                    met.append(await reader.read(1) == b"")
                writer.close()

        with_proxy(upstream, use, seed=seed)
    return met


def test_the_seed_replays_which_connections_a_toxic_meets() -> None:
    first = drawn(seed=1)
    assert first == drawn(seed=1)
    assert first != drawn(seed=2)
    assert 3 <= sum(first) <= 17


def test_a_peer_that_is_gone_without_a_word_is_noticed_on_both_sides() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:

        async def use(proxy: Proxy, listen: Address) -> None:
            with socket.create_connection((listen.host, listen.port)):
                while not proxy.connections_open:
                    await asyncio.sleep(0)
                (connection,) = proxy._connections
                while connection.upstream.reads is None:
                    await asyncio.sleep(0)
                for side in (connection.client, connection.upstream):
                    assert side.transport is not None
                    sock = side.transport.get_extra_info("socket")
                    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

        with_proxy(upstream, use)


def test_what_passed_is_summed_up_once_whether_a_connection_is_open_or_over() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as upstream:

        async def use(proxy: Proxy, listen: Address) -> None:
            for number in range(1, 4):
                _, writer = await asyncio.open_connection(listen.host, listen.port)
                writer.write(b"abc")
                while proxy.received_bytes(Stream.UPSTREAM) < 3 * number:
                    await asyncio.sleep(0)
                if number == 2:
                    proxy._cut()
                    while proxy.connections_open:
                        await asyncio.sleep(0)
                assert proxy.received_bytes(Stream.UPSTREAM) == 3 * number
                (meters,) = proxy.meters().values()
                assert meters[Stream.UPSTREAM].sent == 3 * number
            assert [facts.number for facts in proxy.connections] == [3]
            assert [facts.number for facts in proxy.lately_over] == [1, 2]
            writer.close()

        with_proxy(upstream, use)


def test_of_the_connections_that_are_over_the_last_ones_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_module, "_MOST_OVER", 2)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as upstream:

        async def use(proxy: Proxy, listen: Address) -> None:
            for number in range(1, 5):
                _, writer = await asyncio.open_connection(listen.host, listen.port)
                while not proxy.connections_open:
                    await asyncio.sleep(0)
                proxy._cut()
                while proxy.connections_open:
                    await asyncio.sleep(0)
                assert proxy.lately_over[-1].number == number
                writer.close()
            assert [facts.number for facts in proxy.lately_over] == [3, 4]

        with_proxy(upstream, use)
