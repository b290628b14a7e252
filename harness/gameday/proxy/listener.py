"""A listening socket that can be closed and opened again on the same port."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable

from gameday.proxy.address import Address

__all__ = ["ProxyListener"]

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_ACCEPTS_PER_TURN = 64
_NO_DESCRIPTORS_PAUSE_S = 0.1


class ProxyListener:
    """Owns its port from the first `open` to `release`, also while nothing listens on it.

    A port that was chosen by the system would else be given away, to a client's outgoing connection
    for one, while the listener is closed. A second socket that is bound and never listens holds it;
    connecting to such a port is refused.
    """

    def __init__(
        self, address: Address, accepted: Callable[[socket.socket, Address], None]
    ) -> None:
        self.address = address
        self._accepted = accepted
        self._hold: socket.socket | None = None
        self._listening: socket.socket | None = None

    def open(self) -> None:
        """Listen; `address` has the real port afterwards. Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        asked = self.address
        listening = self._bound()
        hold = self._hold
        try:
            port: int = listening.getsockname()[1]
            self.address = Address(host=asked.host, port=port)
            if hold is None:
                hold = self._bound()
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            if hold is not None and hold is not self._hold:
                hold.close()
            self.address = asked
            raise
        self._hold, self._listening = hold, listening
        loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening; from now on connecting is refused, and who waited is reset."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None

    def release(self) -> None:
        """Stop listening and give the port back."""
        self.close()
        if self._hold is not None:
            self._hold.close()
            self._hold = None

    def _bound(self) -> socket.socket:
        is_v6 = ":" in self.address.host
        family = socket.AF_INET6 if is_v6 else socket.AF_INET
        # Asyncio sends small writes at once only on sockets that are said to be TCP, as those
        # accepted from this one then are; others keep a second answer back for some 40 ms.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_v6:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((self.address.host, self.address.port))
        except OSError:
            sock.close()
            raise
        return sock

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            if self._listening is None:
                return
            try:
                sock, (host, port, *_) = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                _log.error("cannot accept on port %d: %s", self.address.port, error)
                self._pause()
                return
            sock.setblocking(False)
            self._accepted(sock, Address(host=host, port=port))

    def _pause(self) -> None:
        """Let the loop breathe: with no descriptor left, the socket would stay readable."""
        listening = self._listening
        if listening is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening.fileno())

        def again() -> None:
            if self._listening is listening:
                loop.add_reader(listening.fileno(), self._accept)

        loop.call_later(_NO_DESCRIPTORS_PAUSE_S, again)
