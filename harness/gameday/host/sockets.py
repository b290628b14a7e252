"""The TCP connections of processes and of network namespaces, as the kernel lists them."""

import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gameday.host.socket_diag import list_listeners, list_sockets

__all__ = [
    "Peer",
    "TcpConnection",
    "accepted_connections_of",
    "accepted_in_network_of",
    "connections_in_network_of",
    "connections_of",
    "held_by",
    "listening_on",
]

_ESTABLISHED, _TIME_WAIT, _LISTEN = 1, 6, 10
_NOT_CONNECTED = frozenset({2, 3, 7, 10, 12})
"""SYN_SENT, SYN_RECV, CLOSE, LISTEN and NEW_SYN_RECV."""
_MAPPED = "::ffff:"
_SOCKET = "socket:["


@dataclass(frozen=True, slots=True)
class Peer:
    """The far end of a connection."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpConnection:
    """One end of a connection."""

    port: int
    """Its own port."""
    peer: Peer
    over: bool
    """Whether it was closed here, and is only remembered; its process is not known any more."""
    inode: int


def connections_of(pids: Collection[int]) -> list[TcpConnection]:
    """Return each connection of this network that one of these processes holds.

    Of those whose open files may not be read nothing is returned.
    """
    found = _listed_here(over=False)
    # Asked for last: a connection that ends in between is missed, and none is taken for another.
    held = {inode for pid in pids for inode in _held_by(pid)}
    return [connection for connection in found if connection.inode in held]


def listening_on(port: int) -> frozenset[int]:
    """Return the inodes of what listens on that port in this network, on whatever address."""
    listed = list_listeners()
    if listed is None:
        listed = [row for row in _rows_in_network_of("self") if row[0] == _LISTEN]
    return frozenset(inode for _, own_port, _, _, inode in listed if own_port == port)


def accepted_connections_of(server: Peer) -> frozenset[int]:
    """Return the far ports of all connections of this network to a server that listens there.

    Those that either end has closed are among them, for about a minute.
    """
    return frozenset(
        port
        for one in _listed_here(over=True)
        for port, far in ((one.port, one.peer), (one.peer.port, Peer(one.peer.host, one.port)))
        if far == server
    )


def connections_in_network_of(pid: int) -> list[TcpConnection]:
    """Return each connection in the network namespace of a process.

    Those that were closed from here are among them, for about a minute.
    """
    return list(_listed_in_network_of(str(pid)))


def accepted_in_network_of(pid: int, port: int) -> int:
    """Return how many open connections to that port a process of that network has accepted."""
    found = 0
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            table = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii")
            found += sum(_is_accepted(line.split(), port) for line in table.splitlines()[1:])
    return found


def _is_accepted(fields: list[str], port: int) -> bool:
    """What still waits to be accepted has no inode yet."""
    own_port, state, inode = int(fields[1].partition(":")[2], 16), fields[3], fields[9]
    return own_port == port and int(state, 16) == _ESTABLISHED and inode != "0"


def held_by(pid: int) -> Iterator[int]:
    """Yield the inodes of the sockets that a process has open; OSError if it does not show them."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # In a container root may list the descriptors of another account's process, and read none.
        with suppress(FileNotFoundError):
            name = str(entry.readlink())
            if name.startswith(_SOCKET):
                yield int(name[len(_SOCKET) : -1])


def _held_by(pid: int) -> Iterator[int]:
    with suppress(OSError):
        yield from held_by(pid)


def _connections(listed: Collection[tuple[int, int, bytes, int, int]]) -> Iterator[TcpConnection]:
    for state, port, address, peer_port, inode in listed:
        if state not in _NOT_CONNECTED:
            peer = Peer(_host(address), peer_port)
            yield TcpConnection(port=port, peer=peer, over=state == _TIME_WAIT, inode=inode)


def _listed_here(*, over: bool) -> Iterator[TcpConnection]:
    listed = list_sockets(over=over)
    return _listed_in_network_of("self") if listed is None else _connections(listed)


def _listed_in_network_of(pid: str) -> Iterator[TcpConnection]:
    return _connections(list(_rows_in_network_of(pid)))


def _rows_in_network_of(pid: str) -> Iterator[tuple[int, int, bytes, int, int]]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            table = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii")
            yield from (_row(line.split()) for line in table.splitlines()[1:])


def _row(fields: list[str]) -> tuple[int, int, bytes, int, int]:
    own, remote, state, inode = fields[1], fields[2], fields[3], fields[9]
    words, _, port = remote.partition(":")
    # The kernel prints the words of an address in the host's byte order.
    numbers = [int(words[i : i + 8], 16) for i in range(0, len(words), 8)]
    address = struct.pack(f"={len(numbers)}I", *numbers)
    return int(state, 16), int(own.partition(":")[2], 16), address, int(port, 16), int(inode)


def _host(address: bytes) -> str:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address).removeprefix(_MAPPED)
