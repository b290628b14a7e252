"""One proxy: a port in front of an upstream."""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

from gameday.proxy.address import Address, format_address, parse_address
from gameday.proxy.connection import ConnectionFacts, ProxiedConnection, keep_alive, reset_socket
from gameday.proxy.conversation.rules import Rule, RuleBook
from gameday.proxy.link import Meter
from gameday.proxy.listener import ProxyListener
from gameday.proxy.timer import WakeTimer
from gameday.proxy.toxic_chain import Draws, NamedToxic, Stream, ToxicChain

if TYPE_CHECKING:
    from gameday.proxy.conversation.stages import Conversation

__all__ = ["Proxy", "ProxyConfig", "ProxyRoute", "Speaks"]

_log = logging.getLogger(__name__)
_MOST_OVER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """What all proxies of a process share."""

    timer: WakeTimer
    heard: Callable[[], None] = lambda: None
    """Called when something passed: what answers it is soon there."""
    seed: int = 0
    dial_timeout_s: float = 1.0


class Speaks(StrEnum):
    """What a proxy takes the bytes for."""

    TCP = "tcp"
    HTTP = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRoute:
    """Where connections came in and went to: each has byte counters of its own."""

    listen: str
    upstream: str


class Proxy:
    """Passes connections to `listen` on to `upstream` while it is enabled.

    Disabled, the port refuses connections and every open one is closed. An upstream that refuses,
    or does not answer within the dial timeout, resets the client at once.
    """

    def __init__(
        self,
        *,
        name: str,
        listen: str,
        address: Address,
        upstream: str,
        around: ProxyConfig,
        speaks: Speaks = Speaks.TCP,
    ) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.toxics = ToxicChain()
        self.rules = RuleBook()
        self.speaks = speaks
        self.connections_total = 0
        self.refused_upstream = 0
        self._around = around
        self._listener = ProxyListener(address, self._accepted)
        self._dialling: dict[asyncio.Task[None], socket.socket] = {}
        self._connections: dict[ProxiedConnection, ProxyRoute] = {}
        # Each connection counts for itself, which costs a chunk nothing, and is added when over.
        self._over: dict[ProxyRoute, dict[Stream, Meter]] = {}
        self.lately_over: deque[ConnectionFacts] = deque(maxlen=_MOST_OVER)
        """The last connections that are over, the latest last."""

    @property
    def connections_open(self) -> int:
        """Clients that are connected, also those whose upstream is still being dialled."""
        return len(self._connections)

    @property
    def connections(self) -> list[ConnectionFacts]:
        """Those that are open, in the order in which they came."""
        return [connection.facts for connection in self._connections]

    @property
    def route(self) -> ProxyRoute:
        """The route of a connection that is accepted now."""
        return ProxyRoute(listen=self.listen, upstream=self.upstream)

    def meters(self) -> dict[ProxyRoute, dict[Stream, Meter]]:
        """Sum up what passed on each route, also through connections that are still open."""
        sums = {route: _sum_of([meters]) for route, meters in self._over.items()}
        for connection, route in self._connections.items():
            sums[route] = _sum_of([sums[route], connection.meters])
        return sums

    def received_bytes(self, stream: Stream) -> int:
        """Count what came of one direction, over all routes."""
        return sum(meters[stream].received for meters in self.meters().values())

    def enable(self) -> None:
        """Listen. Raises OSError, and stays disabled, if the port cannot be had."""
        if self.enabled:
            return
        self._listener.open()
        self.listen = format_address(self._listener.address)
        self.enabled = True

    def disable(self) -> None:
        """Stop listening and close every connection."""
        if self.enabled:
            self.enabled = False
            self._listener.close()
            self._cut()

    def delete(self) -> None:
        """Disable for good: the port is free afterwards."""
        self.disable()
        self._listener.release()

    def redirect(self, upstream: str) -> None:
        """Pass new connections to another upstream, and close those to the old one."""
        self.upstream = upstream
        self._cut()

    def speak(self, what: Speaks) -> None:
        """Take the bytes of new connections for something else, and close the open ones."""
        self.speaks = what
        self._cut()

    def move(self, listen: str, address: Address) -> None:
        """Take another port, disabled; the old one is free afterwards."""
        self.delete()
        self.listen = listen
        self._listener = ProxyListener(address, self._accepted)

    def _cut(self) -> None:
        for task, sock in self._dialling.items():
            task.cancel()
            # The task closes the socket in a later turn; the client is to see the end in this one.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for connection in list(self._connections):
            connection.cut()

    def _accepted(self, client: socket.socket, address: Address) -> None:
        self.connections_total += 1
        number = self.connections_total
        route = self.route
        self._over.setdefault(route, _sum_of([]))
        connection = ProxiedConnection(
            toxics=self.toxics,
            timer=self._around.timer,
            number=number,
            client=address,
            draws=self._draws(number),
            conversation=self._conversation(number),
            over=self._forget,
            heard=self._around.heard,
        )
        self._connections[connection] = route
        task = asyncio.get_running_loop().create_task(self._serve(connection, client))
        self._dialling[task] = client
        task.add_done_callback(self._served)

    def _forget(self, connection: ProxiedConnection) -> None:
        route = self._connections.pop(connection, None)
        if route is not None:
            self._over[route] = _sum_of([self._over[route], connection.meters])
            self.lately_over.append(connection.facts)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._dialling.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: a connection could not be served", self.name, exc_info=error)

    async def _serve(self, connection: ProxiedConnection, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            address = parse_address(self.upstream)
            # Without a limit of its own the dial would follow the system's back-off, and a client
            # would wait up to many seconds for an upstream that has long been back.
            async with asyncio.timeout(self._around.dial_timeout_s):
                transport, _ = await loop.create_connection(
                    lambda: connection.upstream, address.host, address.port
                )
            keep_alive(client)
            keep_alive(transport.get_extra_info("socket"))
        except (OSError, ValueError) as error:
            self.refused_upstream += 1
            _log.info("%s: %s refused: %r", self.name, self.upstream, error)
            reset_socket(client)
            self._give_up(connection, client)
            return
        except BaseException:
            self._give_up(connection, client)
            raise
        try:
            await loop.connect_accepted_socket(lambda: connection.client, client)
        except BaseException:
            self._give_up(connection, client)
            raise
        connection.join()

    def _give_up(self, connection: ProxiedConnection, client: socket.socket) -> None:
        connection.cut()
        self._forget(connection)
        if connection.client.transport is None:
            client.close()

    def _draws(self, number: int) -> Callable[[NamedToxic], Draws]:
        """Give each toxic its own draws in connection `number`: the seed replays them."""

        def draws(toxic: NamedToxic) -> Draws:
            seed = f"{self._around.seed}/{self.name}/{number}/{toxic.stream}/{toxic.name}"
            return Draws(Random(f"{seed}/meets"), Random(f"{seed}/within"))

        return draws

    def _conversation(self, number: int) -> "Conversation | None":
        """Follow connection `number` as HTTP, each rule with its own draws in it."""
        if self.speaks is not Speaks.HTTP:
            return None
        # Every run waits for this process to start, and few speak HTTP.
        from gameday.proxy.conversation.stages import Conversation

        def draws(rule: Rule) -> Random:
            return Random(f"{self._around.seed}/{self.name}/{number}/http/{rule.name}")

        return Conversation(self.rules, draws)


def _sum_of(counted: Iterable[Mapping[Stream, Meter]]) -> dict[Stream, Meter]:
    """Add up the meters of each direction, in new ones."""
    sums = {stream: Meter() for stream in Stream}
    for meters in counted:
        for stream, meter in meters.items():
            sums[stream].add(meter)
    return sums
