"""The networks of a run's containers, entered from this host."""

import itertools
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from docker.models.containers import Container

from gameday.api.edge import Dialect
from gameday.api.environment import Endpoint
from gameday.api.packets import Datagrams, Drop, Tally
from gameday.edge.connections import SocketConnection
from gameday.errors import EnvironmentRefused
from gameday.host.docker_engine import refusing
from gameday.host.net_namespace import in_network_of
from gameday.host.packet_filter import lift_drops, put_drops, read_tallies, rules_of

__all__ = ["ContainerNetwork", "chain_of", "send_datagrams"]

_AT_ONCE = 32
"""How many datagrams are under way at a time: none may be lost for want of room."""
_PAUSE_S = 0.001
_LAST_LIMIT_S = 0.05

_numbers = itertools.count(1)

T = TypeVar("T")


def chain_of(run: str) -> str:
    """Return a name for what a fault of that run drops; the kernel allows 28 letters."""
    return f"gameday-{run[:8]}-{next(_numbers)}"


class ContainerNetwork:
    """The network of one service. It goes with the container that holds it, rules and all."""

    def __init__(self, container: Container, service: str, run: str) -> None:
        self._service = service
        self._run = run
        self._id = str(container.id)
        with refusing(f"looking at the network of {service}"):
            container.reload()
        self._pid = int(str(container.attrs["State"]["Pid"]))
        (network,) = container.attrs["NetworkSettings"]["Networks"].values()
        self.address = str(network["IPAddress"])
        if network.get("GlobalIPv6Address"):
            raise EnvironmentRefused(
                f"the network of {service} has IPv6, which is not covered: "
                "what is dropped would go round by it"
            )

    def drop(self, chain: str, drops: Sequence[Drop]) -> None:
        self._inside("dropping packets", lambda: put_drops(chain, drops, self._run))

    def lift(self, chain: str) -> None:
        self._inside("dropping packets no more", lambda: lift_drops(chain))

    def tallies(self, chain: str) -> tuple[Tally, ...]:
        return self._inside("counting packets", lambda: read_tallies(chain))

    def left(self, chain: str) -> int:
        return len(self._inside("reading the packet filter", lambda: rules_of(chain)))

    def open(
        self, endpoint: Endpoint, limit_ns: int, dialect: Dialect | None = None
    ) -> SocketConnection:
        return self._inside(
            f"connecting to {endpoint}", lambda: SocketConnection(endpoint, limit_ns, dialect)
        )

    def datagram_socket(self, port: int) -> socket.socket:
        """Return a socket of this network; port 0 lets the kernel choose."""
        return self._inside("opening a port", lambda: _bound(self.address, port))

    def _inside(self, what: str, act: Callable[[], T]) -> T:
        try:
            # Another process may have got the number of one that is gone.
            if self._id not in Path(f"/proc/{self._pid}/cgroup").read_text():
                raise OSError(f"process {self._pid} of this host is not of that container")
            return in_network_of(self._pid, act)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentRefused(
                f"{what} in the network of {self._service}: {error}"
            ) from error


def send_datagrams(
    datagrams: Datagrams, sender: ContainerNetwork | None, receiver: ContainerNetwork
) -> int:
    """Return how many of the datagrams arrived; a sender that is None is this host."""
    arrived = 0
    with (
        receiver.datagram_socket(datagrams.to_port) as to,
        _any_socket() if sender is None else sender.datagram_socket(datagrams.from_port) as from_,
    ):
        address = to.getsockname()
        for begin in range(0, datagrams.count, _AT_ONCE):
            sent = min(_AT_ONCE, datagrams.count - begin)
            for _ in range(sent):
                from_.sendto(b"gameday", address)
            arrived += _received(to, sent, _PAUSE_S)
        return arrived + _received(to, datagrams.count - arrived, _LAST_LIMIT_S)


def _received(to: socket.socket, most: int, limit_s: float) -> int:
    """Take what is there, until nothing more comes for the limit."""
    count = 0
    to.settimeout(limit_s)
    with suppress(TimeoutError):
        while count < most:
            to.recv(16)
            count += 1
    return count


def _any_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _bound(address: str, port: int) -> socket.socket:
    made = _any_socket()
    try:
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made
