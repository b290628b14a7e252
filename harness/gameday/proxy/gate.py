"""Who may use the control API: programs on this host, and no web page in a browser."""

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gameday.proxy.http import Request, Response

__all__ = ["Gate", "is_loopback"]

_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Refuses a call before it is looked at.

    A page can make a browser call an address of this host: with an `Origin` where it is another's,
    and with a name of the page's own in `Host` where that name was pointed here (DNS rebinding).
    """

    token: str = ""
    """What a call that changes anything has to bear; empty: none has to."""
    beyond_loopback: bool = False
    """Whether it may be called by the address of another interface, too."""

    def before(
        self, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers instead of `handle`, which hears only what is let in."""

        async def answer(request: Request) -> Response:
            return self.refusal(request) or await handle(request)

        return answer

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to who is not let in, or None."""
        host = request.headers.get("host", "")
        if not self._is_meant(host):
            return _refused(f"host {host!r} is not this one; call it by 127.0.0.1", 403)
        if "origin" in request.headers:
            return _refused("calls from web pages are refused", 403)
        if self.token and request.method not in _READING:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return _refused("this call needs the token that the proxy was started with", 401)
        return None

    def _is_meant(self, host: str) -> bool:
        """Tell whether a `Host` is an address of this one; a name could be anybody's."""
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdigit():
            name = host
        name = name.removeprefix("[").removesuffix("]")
        if is_loopback(name):
            return True
        return self.beyond_loopback and _address(name) is not None


def is_loopback(host: str) -> bool:
    """Tell whether only this host reaches that address; of a name that is not known."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refused(message: str, status: int) -> Response:
    return Response.json({"error": message, "status": status}, status)
