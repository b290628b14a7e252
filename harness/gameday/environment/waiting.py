"""Waits for a fact, never for a time."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

from gameday.environment.protocol import Checkpoint, NotReadyError
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND
from gameday.model.units import format_duration

__all__ = ["READY_LIMIT_NS", "busy_ports", "free_ports", "until_ready"]

READY_LIMIT_NS = 30 * SECOND
"""How long a service may take from its start to its first answer."""

_PAUSE_S = 0.01


def until_ready(
    what: str, check: Callable[[], str], *, limit_ns: int, checkpoint: Checkpoint
) -> str:
    """Return the evidence of `check` as soon as it does not raise NotReadyError.

    Raises EnvironmentRefused, with the last answer, once `limit_ns` nanoseconds have passed.
    """
    give_up_ns = time.monotonic_ns() + limit_ns
    while True:
        try:
            return check()
        except NotReadyError as error:
            if time.monotonic_ns() > give_up_ns:
                raise EnvironmentRefused(
                    f"{what} is not ready after {format_duration(limit_ns)}: {error}"
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
    return f"front ports: 127.0.0.1 cannot give {', '.join(busy)}; choose others: --gameday-ports"


def free_ports(number: int) -> list[int]:
    """Return that many different ports of 127.0.0.1 on which nothing listens now."""
    with ExitStack() as open_sockets:
        ports = []
        for _ in range(number):
            held = open_sockets.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            ports.append(int(held.getsockname()[1]))
        return ports
