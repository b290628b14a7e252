"""The heartbeat of the proxies: how long each server takes to answer a call that costs nothing.

A proxy that stalls delays everything that passes it, which is not the system's fault. The
call goes to the server's API, which is served by the process that moves the bytes.
"""

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from gameday.model.clock import MILLISECOND, SECOND

__all__ = ["PAIR", "SILENT_NS", "Pulse", "listen", "silent_now"]

PAIR = struct.Struct("<qq")
"""When a stall ended, and how long it was."""

SILENT_NS = 5 * SECOND
"""A server that has not answered for so long is taken for dead."""
_BEAT_NS = 20 * MILLISECOND
_SLOW_NS = 5 * MILLISECOND
_TELL_NS = SECOND // 2
_READ_BYTES = 4096
_MOST_BYTES = 1 << 16


class Pulse:
    """One server, called at each beat unless a call is unanswered; any answer is one.

    A connection that ends is made anew, and the call that was on it counts from when it was made
    first: a server that is away for a second took a second to answer.
    """

    def __init__(
        self,
        address: str,
        poll: "select.poll",
        note: Callable[[int, int], None],
        silent: Callable[[str], None],
    ) -> None:
        """`note` gets the end and the length of each stall, `silent` who stays silent, once."""
        self._address = address
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._call = f"HEAD /version HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
        self._poll = poll
        self._note = note
        self._silent = silent
        self._socket: socket.socket | None = None
        self._connected = False
        self._answer = b""
        self._asked_ns = 0
        self._noted_ns = 0
        self._is_silent = False

    @property
    def waits(self) -> bool:
        """Whether a call is unanswered."""
        return self._asked_ns != 0

    @property
    def fd(self) -> int:
        """Its socket, for who polls; -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def beat(self, now_ns: int) -> None:
        """Call the server, or note how long it has been silent by now."""
        if not self._asked_ns:
            self._asked_ns = self._noted_ns = now_ns
            self._ask()
            return
        if self._socket is None:
            self._ask()
        if now_ns - self._noted_ns >= _TELL_NS:
            self._noted_ns = now_ns
            self._note(now_ns, now_ns - self._asked_ns)
        if not self._is_silent and now_ns - self._asked_ns >= SILENT_NS:
            self._is_silent = True
            self._silent(self._address)

    def ready(self, now_ns: int) -> None:
        """Go on with what the socket is ready for."""
        assert self._socket is not None
        try:
            if not self._connected:
                self._send()
                return
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            return
        self._answer += data
        if self._answer.endswith(b"\r\n\r\n"):
            self.end(now_ns)
        elif not data or len(self._answer) > _MOST_BYTES:
            self._drop()

    def end(self, now_ns: int) -> None:
        """Note how long the call took that is answered now, or given up."""
        if self._asked_ns and now_ns - self._asked_ns > _SLOW_NS:
            self._note(now_ns, now_ns - self._asked_ns)
        self._asked_ns = 0
        self._is_silent = False
        self._answer = b""

    def close(self) -> None:
        self._drop()

    def _ask(self) -> None:
        try:
            if self._socket is None:
                self._connect()
            else:
                self._socket.send(self._call)
        except OSError:
            self._drop()

    def _connect(self) -> None:
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._connected = False
        self._socket.connect_ex(self._to)
        self._poll.register(self._socket, select.POLLOUT)

    def _send(self) -> None:
        """Send the call on a connection that has come about; OSError if it has not."""
        assert self._socket is not None
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "connect")
        self._connected = True
        self._socket.send(self._call)
        self._poll.modify(self._socket, select.POLLIN)

    def _drop(self) -> None:
        self._answer = b""
        if self._socket is not None:
            self._poll.unregister(self._socket)
            self._socket.close()
            self._socket = None


def listen(
    addresses: Sequence[str], out: int, silent: Callable[[str], None], over: threading.Event
) -> None:
    """Write each stall of these servers to the file `out`, until it is over."""
    poll = select.poll()

    def note(at_ns: int, took_ns: int) -> None:
        os.write(out, PAIR.pack(at_ns, took_ns))

    pulses = [Pulse(address, poll, note, silent) for address in addresses]
    beat_ns = time.monotonic_ns()
    while not over.is_set():
        if (now_ns := time.monotonic_ns()) >= beat_ns:
            beat_ns = now_ns + _BEAT_NS
            for pulse in pulses:
                pulse.beat(now_ns)
        _hear(pulses, poll, beat_ns)
    for pulse in pulses:
        pulse.end(time.monotonic_ns())
        pulse.close()


def silent_now(
    addresses: Sequence[str],
    limit_ns: int = SILENT_NS,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> tuple[str, ...]:
    """Return which of these servers do not answer a call now, within the limit."""
    poll = select.poll()
    pulses = {
        address: Pulse(address, poll, lambda _at_ns, _took_ns: None, lambda _address: None)
        for address in addresses
    }
    beat_ns = began_ns = clock_ns()
    waiting = list(pulses.values())
    while waiting and beat_ns - began_ns < limit_ns:
        beat_ns = clock_ns()
        for pulse in waiting:
            pulse.beat(beat_ns)
        _hear(waiting, poll, beat_ns + _BEAT_NS, clock_ns)
        waiting = [pulse for pulse in waiting if pulse.waits]
    silent = tuple(address for address, pulse in pulses.items() if pulse in waiting)
    for pulse in pulses.values():
        pulse.close()
    return silent


def _hear(
    pulses: Sequence[Pulse],
    poll: "select.poll",
    until_ns: int,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> None:
    """Go on with the first sockets that are ready by then."""
    wait_ms = (until_ns - clock_ns()) // MILLISECOND
    ready = {fd for fd, _ in poll.poll(max(1, wait_ms))}
    now_ns = clock_ns()
    for pulse in pulses:
        if pulse.fd in ready:
            pulse.ready(now_ns)
