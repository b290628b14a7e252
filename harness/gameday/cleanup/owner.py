"""The owner of a run: the process that conducts it, identified beyond doubt, now and later.

A pid alone does not suffice, since the system reuses it, nor does the wall clock, which may be
set: a process is identified by the ticks since boot at which it started.
"""

import os
import signal
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import psutil

from gameday.host.ours import is_our_process

__all__ = ["NOBODY", "ask_to_end", "is_alive", "is_dead", "pid_of", "sees_the_host", "this_owner"]

NOBODY = "nobody"
"""The owner of what surely has none, and does not say whose it was."""

_FIELDS = 5
_NAMESPACES = ("pid", "time")
_WHOLE = "pid:[4026531836]"
"""The kernel's fixed number of the namespace in which every process of the host is seen."""
_STATE, _STARTED = 0, 19
"""Where they stand in /proc/PID/stat behind the name, which may have spaces in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where pids are valid: one boot of one host, and the namespaces of a container."""

    host: str
    """What outlives a boot; empty where nothing does."""
    boot: str
    namespaces: str

    def numbers_alike(self, other: "_Place") -> bool:
        return (self.boot, self.namespaces) == (other.boot, other.namespaces)

    @property
    def is_whole(self) -> bool:
        return _WHOLE in self.namespaces

    def is_gone_at(self, now: "_Place") -> bool:
        """Tell whether this was an earlier boot of the host; of containers nobody can tell."""
        if not (self.is_whole and now.is_whole and self.host):
            return False
        return self.host == now.host and self.boot != now.boot


def this_owner() -> str:
    """Return what tells this process from every other, now and later, here and elsewhere."""
    here = _here()
    pid = os.getpid()
    return f"{pid}@{_started(pid)}@{here.host}@{here.boot}@{here.namespaces}"


def is_dead(owner: str) -> bool:
    """Tell whether that owner is surely gone; of one that lives elsewhere nothing is sure."""
    return owner == NOBODY or _lives(owner) is False


def is_alive(owner: str) -> bool:
    """Tell whether that owner is a process that lives here, so that its number means it."""
    return _lives(owner) is True


def sees_the_host() -> bool:
    """Tell whether every process of the host is seen from here, so that nobody can be elsewhere."""
    return _here().is_whole


def pid_of(owner: str) -> int:
    """Return the number of an owner that is alive."""
    return int(owner.partition("@")[0])


def ask_to_end(owner: str) -> None:
    """Send SIGTERM to an owner that is alive.

    Raises ProcessLookupError where it has ended, and PermissionError where it is another user's:
    whoever can write a mark can write any number in it.
    """
    pid = pid_of(owner)
    held = os.pidfd_open(pid)
    try:
        # From here on the number is that of no other process, even if it ends.
        if not is_alive(owner):
            raise ProcessLookupError
        if not is_our_process(psutil.Process(pid)):
            raise PermissionError
        signal.pidfd_send_signal(held, signal.SIGTERM)
    finally:
        os.close(held)


def _lives(owner: str) -> bool | None:
    """Tell whether an owner lives; None where that cannot be told from here."""
    fields = owner.split("@")
    if len(fields) != _FIELDS or not fields[0].isdecimal():
        return None
    place = _Place(host=fields[2], boot=fields[3], namespaces=fields[4])
    if place.is_gone_at(_here()):
        return False
    if not place.numbers_alike(_here()):
        return None
    pid = int(fields[0])
    started = _started(pid)
    if started is None:
        # A process that exists and says nothing belongs to somebody else.
        return None if psutil.pid_exists(pid) else False
    return started == fields[1]


def _started(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; "" if it has ended, None if unknown."""
    if not Path("/proc/self/stat").exists():  # no Linux; what psutil tells there is no difference
        try:
            return f"{psutil.Process(pid).create_time():.2f}"
        except psutil.Error:
            return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] in "ZX" else fields[_STARTED]


@cache
def _here() -> _Place:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = f"{psutil.boot_time():.0f}"
    spaces = (Path(f"/proc/self/ns/{name}") for name in _NAMESPACES)
    named = [str(space.readlink()) for space in spaces if space.is_symlink()]
    return _Place(host=_host(), boot=boot, namespaces=",".join(named))


def _host() -> str:
    """Return what tells this host from others at every boot; empty where it has no such name.

    The number is not for others to know, and copies of a machine have the same: so it is hashed,
    with the host's name.
    """
    try:
        number = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    if not number or number == "uninitialized":
        return ""
    return sha256(f"{number} {os.uname().nodename}".encode()).hexdigest()[:12]
