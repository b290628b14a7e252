"""Work in the network namespace of another process."""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

__all__ = ["in_a_new_network", "in_network_of"]

_CLONE_NEWNET = 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1

T = TypeVar("T")


def in_network_of(pid: int, act: Callable[[], T]) -> T:
    """Return what `act` gives in the network of a process; OSError if that cannot be entered.

    A network belongs to a thread: what the thread opens or starts stays in it, whoever uses it.
    """

    def enter() -> None:
        descriptor = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked("setns", ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET))
        finally:
            os.close(descriptor)

    return _after(enter, act)


def in_a_new_network(act: Callable[[], T]) -> T:
    """Return what `act` gives in a network that has a loopback only and goes with the call."""

    def enter() -> None:
        _checked("unshare", ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            asked = struct.pack("16sh14x", b"lo", 0)
            (flags,) = struct.unpack_from("16xh", fcntl.ioctl(any_socket, _GET_FLAGS, asked))
            fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))

    return _after(enter, act)


def _after(enter: Callable[[], None], act: Callable[[], T]) -> T:
    """Do both in a thread that is used for nothing else, and ends."""

    def both() -> T:
        enter()
        return act()

    with ThreadPoolExecutor(1, thread_name_prefix="network") as thread:
        return thread.submit(both).result()


def _checked(call: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
