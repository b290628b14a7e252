"""The TCP connections of processes and of network namespaces, as the kernel lists them."""

import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Peer", "accepted_in_network_of", "peers_in_network_of", "peers_of"]

_ESTABLISHED = "01"
_MAPPED = "::ffff:"


@dataclass(frozen=True, slots=True)
class Peer:
    """The far end of an open connection."""

    host: str
    port: int


def peers_of(processes: Collection[psutil.Process]) -> list[Peer]:
    """Return the far end of each open connection of these processes."""
    pids = {process.pid for process in processes}
    return [
        Peer(connection.raddr.ip.removeprefix(_MAPPED), connection.raddr.port)
        for connection in psutil.net_connections(kind="tcp")
        if connection.pid in pids
        and connection.status == psutil.CONN_ESTABLISHED
        and connection.raddr
    ]


def peers_in_network_of(pid: int) -> list[Peer]:
    """Return the far end of each open connection in the network namespace of a process."""
    found: list[Peer] = []
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            found += _listed(Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii"))
    return found


def accepted_in_network_of(pid: int, port: int) -> int:
    """Return how many open connections to that port a process of that network has accepted."""
    found = 0
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            table = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii")
            found += sum(_is_accepted(line.split(), port) for line in table.splitlines()[1:])
    return found


def _is_accepted(fields: list[str], port: int) -> bool:
    """What still waits to be accepted has no inode yet."""
    own_port, state, inode = int(fields[1].partition(":")[2], 16), fields[3], fields[9]
    return own_port == port and state == _ESTABLISHED and inode != "0"


def _listed(table: str) -> Iterator[Peer]:
    for line in table.splitlines()[1:]:
        _, _, remote, state, *_ = line.split()
        if state == _ESTABLISHED:
            address, _, port = remote.partition(":")
            yield Peer(_address(address), int(port, 16))


def _address(words: str) -> str:
    """Return the address that the kernel prints as words in the host's byte order."""
    numbers = [int(words[i : i + 8], 16) for i in range(0, len(words), 8)]
    packed = struct.pack(f"={len(numbers)}I", *numbers)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed).removeprefix(_MAPPED)
