"""Addresses as Toxiproxy writes them: "host:port", an IPv6 host in brackets, no host for any."""

import asyncio
import socket
from dataclasses import dataclass

__all__ = ["Address", "BadAddress", "format_address", "parse_address", "resolve_listen"]

_RESOLVE_TIMEOUT_S = 2.0


class BadAddress(ValueError):
    """The text is not "host:port", or the host has no address. Nothing was bound or dialled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host, by name or number, and a port."""

    host: str
    port: int


def parse_address(text: str) -> Address:
    """Read "host:port"; the words of a refusal are those of Toxiproxy."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise BadAddress(f"address {text}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadAddress(f"address {text}: too many colons in address")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise BadAddress(f"address {text}: invalid port {port!r}; wanted 0 to 65535")
    return Address(host=host, port=int(port))


def format_address(address: Address) -> str:
    """Write `address` so that `parse_address` reads it back."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def _any_host() -> str:
    """Give the address of every interface: that Python knows IPv6 does not say the kernel does."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return "0.0.0.0"  # noqa: S104
    return "::"


async def resolve_listen(text: str) -> Address:
    """Give the numeric address to bind for `text`; "" and ":0" mean any interface, any port."""
    # No port is any port, as to Go.
    address = parse_address(f"{text}0" if text.endswith(":") else text or ":0")
    if not address.host:
        return Address(host=_any_host(), port=address.port)
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address.host)
        except OSError:
            continue
        return address
    if address.host == "localhost":
        return Address(host="127.0.0.1", port=address.port)
    loop = asyncio.get_running_loop()
    try:
        # Names go through the system's resolver, which may hang: the data path must not.
        async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
    except (OSError, UnicodeError) as error:
        raise BadAddress(f"address {text}: no address for the host: {error}") from error
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    return Address(host=str(found[0][4][0]), port=address.port)
