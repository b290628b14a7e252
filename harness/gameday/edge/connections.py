"""The proxy of one edge, and connections that observe what passes it."""

import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gameday.api.edge import (
    Dialect,
    EdgeConnection,
    EdgeState,
    Heard,
    Route,
    Seen,
    Stream,
)
from gameday.api.environment import Endpoint
from gameday.api.http_rules import (
    HttpAnswer,
    HttpProbe,
    HttpRule,
    RuleCounts,
)
from gameday.api.listing import ListedConnection
from gameday.api.opening import Opening, TurnedAway
from gameday.edge.http_probe import ask_http
from gameday.edge.servers import ProxyControl
from gameday.model.clock import SECOND

__all__ = ["ControlledEdge", "SocketConnection", "reaches"]

_READ_BYTES = 256 * 1024
_MOST_READS = 4


class SocketConnection:
    """One TCP connection of the harness; its fate is returned, never raised."""

    def __init__(
        self,
        endpoint: Endpoint,
        limit_ns: int,
        dialect: Dialect | None = None,
        answer_limit_ns: int = 0,
    ) -> None:
        self._socket: socket.socket | None = None
        self.origin: Endpoint | None = None
        self._was_reset = False
        self._farewell = b"" if dialect is None else dialect.farewell
        self.opening = Heard(seen=Seen.ANSWERED)
        self.opening_sent = 0
        try:
            address = (endpoint.host, endpoint.port)
            self._socket = socket.create_connection(address, timeout=limit_ns / SECOND)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host, port, *_ = self._socket.getsockname()
            self.origin = Endpoint(host=host, port=port)
            self.opened = Seen.ANSWERED
        except OSError as error:
            self.opened = _seen(error)
        login = None if dialect is None else dialect.opening()
        if login is not None and self._socket is not None:
            self._log_in(login, answer_limit_ns or limit_ns)

    def ask(self, question: bytes, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        if self._socket is None:
            return Heard(seen=self.opened)
        asked_ns = time.monotonic_ns()
        if self._say(question, limit_ns) is Seen.SILENT:
            return Heard(seen=Seen.SILENT)
        return self._listen(asked_ns, limit_ns, to_the_end)

    def listen(self, limit_ns: int, *, to_the_end: bool = False) -> Heard:
        return self._listen(time.monotonic_ns(), limit_ns, to_the_end)

    def hang_up(self, limit_ns: int) -> Heard:
        asked_ns = time.monotonic_ns()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
        return self._listen(asked_ns, limit_ns, True)

    def ended(self) -> bool:
        if self._socket is None:
            return True
        self._socket.setblocking(False)
        try:
            for _ in range(_MOST_READS):
                if not self._socket.recv(_READ_BYTES):
                    return True
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _log_in(self, login: Opening, limit_ns: int) -> None:
        """Open the line by a login, each answer of which may take `limit_ns`."""
        reads: list[int] = []
        say = login.start()
        while say and self.opened is Seen.ANSWERED:
            give_up_ns = time.monotonic_ns() + limit_ns
            self.opening_sent += len(say)
            self.opened = self._say(say, limit_ns)
            say = b""
            while not (login.done or say) and self.opened in (Seen.ANSWERED, Seen.RESET):
                seen, some = self._read(give_up_ns)
                reads += [len(some)] if some else []
                if not some:
                    self.opened = seen
                    break
                try:
                    say = login.hear(some)
                except TurnedAway:
                    self.opened = Seen.REJECTED
        self.opening = Heard(seen=self.opened, reads=tuple(reads))

    def _say(self, words: bytes, limit_ns: int) -> Seen:
        """Send, and tell how that went: what came before a reset is still to be read."""
        assert self._socket is not None
        try:
            self._socket.settimeout(limit_ns / SECOND)
            self._socket.sendall(words)
        except OSError as error:
            # The system tells it once.
            seen = _seen(error)
            self._was_reset |= seen is Seen.RESET
            return seen
        return Seen.ANSWERED

    def _read(self, give_up_ns: int) -> tuple[Seen, bytes]:
        """Read once; nothing read says how the wait ended."""
        assert self._socket is not None
        left_ns = give_up_ns - time.monotonic_ns()
        if left_ns <= 0:
            return Seen.SILENT, b""
        try:
            self._socket.settimeout(left_ns / SECOND)
            some = self._socket.recv(_READ_BYTES)
            seen = Seen.ANSWERED if some else Seen.CLOSED
        except OSError as error:
            seen, some = _seen(error), b""
        self._was_reset |= seen is Seen.RESET
        if seen is Seen.CLOSED and self._was_reset:
            seen = Seen.RESET
        return seen, some

    def _listen(self, asked_ns: int, limit_ns: int, to_the_end: bool) -> Heard:
        if self._socket is None:
            return Heard(seen=self.opened)
        reads: list[int] = []
        tail = b""
        first_ns: int | None = None
        last_ns: int | None = None
        ended_ns: int | None = None
        while True:
            seen, some = self._read(asked_ns + limit_ns)
            now_ns = time.monotonic_ns() - asked_ns
            if not some:
                ended_ns = None if seen is Seen.SILENT else now_ns
                break
            reads.append(len(some))
            first_ns, last_ns = first_ns or now_ns, now_ns
            if not to_the_end:
                break
            tail = (tail + some)[-len(self._farewell) :]
            if self._farewell and tail == self._farewell:
                seen, ended_ns = Seen.CLOSED, now_ns
                break
        return Heard(
            seen=seen, reads=tuple(reads), first_ns=first_ns, last_ns=last_ns, ended_ns=ended_ns
        )


class ControlledEdge:
    """An edge's proxy on a server that speaks Toxiproxy's API."""

    def __init__(
        self,
        control: ProxyControl,
        name: str,
        *,
        proxied: Endpoint,
        upstream: Endpoint,
        dialect: Dialect | None,
        forwarded: bool = False,
        resets_open: bool = False,
    ) -> None:
        self._control = control
        self._name = name
        self.proxied = proxied
        self.upstream = upstream
        self.dialect = dialect
        self.forwarded = forwarded
        self.resets_open = resets_open

    def state(self) -> EdgeState:
        state = self._control.state(self._name)
        return EdgeState(enabled=state.enabled, toxics=tuple(t.name for t in state.toxics))

    def enable(self) -> None:
        self._control.enable(self._name)

    def disable(self) -> None:
        self._control.disable(self._name)

    def add(
        self, name: str, kind: str, stream: Stream, attributes: Mapping[str, int | str]
    ) -> None:
        self._control.add_toxic(self._name, name, kind, stream, attributes)

    def remove(self, name: str) -> None:
        self._control.remove_toxic(self._name, name)

    def dropped_bytes(self, name: str) -> int | None:
        counters = self._control.counters()
        if counters is None:
            return None
        toxic = counters[self._name].toxics.get(name)
        return 0 if toxic is None else toxic.bytes_dropped

    def connections(self) -> Sequence[ListedConnection] | None:
        return self._control.connections(self._name)

    def add_rule(self, rule: HttpRule) -> None:
        self._control.add_rule(self._name, rule)

    def remove_rule(self, name: str) -> None:
        self._control.remove_rule(self._name, name)

    def rules(self) -> Mapping[str, RuleCounts]:
        return self._control.rules(self._name)

    def request(self, route: Route, probe: HttpProbe, limit_ns: int) -> HttpAnswer:
        return ask_http(self.proxied if route is Route.PROXIED else self.upstream, probe, limit_ns)

    def open(self, route: Route, limit_ns: int, answer_limit_ns: int = 0) -> EdgeConnection:
        endpoint = self.proxied if route is Route.PROXIED else self.upstream
        return SocketConnection(endpoint, limit_ns, self.dialect, answer_limit_ns)


def reaches(endpoint: Endpoint, limit_ns: int) -> bool:
    """Tell whether something accepts connections there."""
    line = SocketConnection(endpoint, limit_ns)
    line.close()
    return line.opened is Seen.ANSWERED


def _seen(error: OSError) -> Seen:
    match error:
        case TimeoutError():
            return Seen.SILENT
        case ConnectionRefusedError():
            return Seen.REFUSED
        case ConnectionResetError():
            return Seen.RESET
        case BrokenPipeError():
            # Writing after an orderly end.
            return Seen.CLOSED
        case _:
            return Seen.UNREACHABLE
