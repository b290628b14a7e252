"""Waits for a fact, never for a time."""

import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Generic, TypeVar

from gameday.api.environment import Checkpoint, NotReadyError
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND
from gameday.model.units import format_duration

__all__ = [
    "READY_LIMIT_NS",
    "NotInTime",
    "ThreadCall",
    "busy_ports",
    "free_ports",
    "release_ports",
    "until_ready",
]

READY_LIMIT_NS = 30 * SECOND
"""How long a service may take from its start to its first answer."""

_PAUSE_S = 0.01
_CHECK_LIMIT_NS = 10 * SECOND
_LENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEAST_PORT = 20_000
_TRIES = 1000
_RESERVED = 256
"""How many of the ports given last are kept from others: several runs' worth."""

_reservations: dict[int, socket.socket] = {}

T = TypeVar("T")


class NotInTime(Exception):
    """A call did not end within its limit and was abandoned."""


class ThreadCall(Generic[T]):
    """A call in a thread of its own, so a signal reaches who waits, whatever it waits for."""

    def __init__(self, act: Callable[[], T]) -> None:
        self._act = act
        self._came: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def result(self, limit_ns: int) -> T:
        """Return what it returns, or raise what it raises.

        NotInTime when it takes longer than `limit_ns`, or was abandoned.
        """
        try:
            came = self._came.get(timeout=limit_ns / SECOND)
        except queue.Empty:
            raise NotInTime(f"no end within {limit_ns / SECOND:g} s") from None
        if isinstance(came, BaseException):
            raise came
        return came

    def abandon(self) -> None:
        """Let nobody wait for it any longer; it goes on by itself."""
        self._came.put(NotInTime("nobody waits for it any more"))

    def _run(self) -> None:
        try:
            self._came.put(self._act())
        except BaseException as error:
            self._came.put(error)


def until_ready(
    what: str,
    check: Callable[[], str],
    *,
    limit_ns: int,
    checkpoint: Checkpoint,
    log: Callable[[], str] = str,
) -> str:
    """Return the evidence of `check` as soon as it does not raise NotReadyError.

    One that has not come to its end within ten seconds is no answer: the limits of the clients
    it uses are for each read. Raises EnvironmentRefused, with the last answer and what `log`
    returns, once `limit_ns` nanoseconds have passed.
    """
    give_up_ns = time.monotonic_ns() + limit_ns
    while True:
        try:
            return ThreadCall(check).result(_CHECK_LIMIT_NS)
        except (NotReadyError, NotInTime) as error:
            if time.monotonic_ns() > give_up_ns:
                raise EnvironmentRefused(
                    f"{what} is not ready after {format_duration(limit_ns)}: {error}{log()}"
                ) from error
        checkpoint()
        time.sleep(_PAUSE_S)


def busy_ports(first: int, number: int) -> str | None:
    """Return which of these ports of 127.0.0.1 cannot be listened on, as a sentence; None: none."""
    busy = []
    for port in range(first, first + number):
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind(("127.0.0.1", port))
            except OSError as error:
                busy.append(f"{port} ({error.strerror})")
    if not busy:
        return None
    return (
        f"front ports: 127.0.0.1 cannot give {', '.join(busy)}; choose others with --gameday-ports"
    )


def free_ports(number: int) -> list[int]:
    """Return that many different ports of 127.0.0.1 on which nothing listens now.

    They are none of those that the kernel gives to outgoing connections, if it leaves enough:
    such a one may be taken before the server that it is for has started. Nobody else who asks
    here, in this process or another, is given one of them before `release_ports`.
    """
    ports: list[int] = []
    for port in chain(_settled_ports(), repeat(0, _TRIES)):
        if len(ports) == number:
            break
        with socket.socket() as held, suppress(OSError):
            held.bind(("127.0.0.1", port))
            free = int(held.getsockname()[1])
            _reserve(free)
            ports.append(free)
    return ports


def _reserve(port: int) -> None:
    """Take a port out of what others choose from; raises OSError if another has it.

    An abstract name is told apart where ports are, by the network's namespace, and ends with us.
    """
    reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        reservation.bind(f"\0gameday-port-{port}")
    except OSError:
        reservation.close()
        raise
    while len(_reservations) >= _RESERVED:
        release_ports([next(iter(_reservations))])
    _reservations[port] = reservation


def release_ports(ports: Iterable[int] | None = None) -> None:
    """Let others choose these ports again, or all that were given here: their servers are gone."""
    for port in list(_reservations) if ports is None else ports:
        reservation = _reservations.pop(port, None)
        if reservation is not None:
            reservation.close()


def _settled_ports() -> list[int]:
    """Return ports, in an order of chance, that no outgoing connection gets."""
    try:
        first_lent = int(_LENT_PORTS.read_text(encoding="ascii").split()[0])
    except OSError:
        return []
    settled = range(_LEAST_PORT, max(_LEAST_PORT, first_lent))
    return random.SystemRandom().sample(settled, min(len(settled), _TRIES))
