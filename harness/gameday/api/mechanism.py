"""Mechanisms of the host that faults rely on, and whether they work here."""

import errno
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from gameday.errors import EnvironmentRefused, GamedayError

__all__ = ["Lacking", "Mechanism", "Trial", "need", "trial"]

_PACKAGES = {
    "dd": "coreutils",
    "iptables-restore": "iptables",
    "iptables-save": "iptables",
    "prlimit": "util-linux",
    "sleep": "coreutils",
    "timeout": "coreutils",
    "umount": "mount",
}
"""What brings a program, as Debian calls it, where that has not the program's own name."""


class Lacking(EnvironmentRefused):
    """What was seen of a mechanism that does not work, with a cure of its own."""

    def __init__(self, seen: str, cure: str) -> None:
        super().__init__(seen)
        self.cure = cure


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """Something that a host may lack, such as a binary, a privilege or a part of its kernel."""

    name: str
    """As `gameday doctor` and a refusal call it, such as "memory limit in process"."""
    used_for: str
    cure: str
    """How to get it, or what to do without it, where a check does not know better."""
    check: Callable[[], str]
    """Use it, harmlessly and within seconds, and return what was seen.

    Raises GamedayError, OSError or SubprocessError when it does not work.
    """
    instead: str = ""
    """What is used where it does not work; empty: nothing, and what needs it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of using a mechanism."""

    works: bool
    seen: str
    cure: str = ""
    """How to get it, or what to do without it; empty where it works."""


@functools.cache
def trial(mechanism: Mechanism) -> Trial:
    """Use a mechanism, once a process, and return what came of it."""
    try:
        return Trial(works=True, seen=mechanism.check())
    except Exception as error:
        # Whatever goes wrong with one mechanism, the others are still to be tried.
        return _failed(mechanism, error)


def need(*programs: str) -> None:
    """Raise FileNotFoundError for the first program that is not on PATH.

    For those that are run by another program, whose own words on that nobody would read.
    """
    for program in programs:
        if shutil.which(program) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)


def _failed(mechanism: Mechanism, error: Exception) -> Trial:
    for cause in _causes(error):
        if isinstance(cause, Lacking):
            return Trial(works=False, seen=str(cause), cure=cause.cure)
        if isinstance(cause, FileNotFoundError) and (program := _program(cause)):
            cure = f"install {_PACKAGES.get(program, program)}"
            return Trial(works=False, seen=f"no {program} on PATH", cure=cure)
    return Trial(works=False, seen=_told(error), cure=mechanism.cure)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _program(error: FileNotFoundError) -> str:
    """Return the program that was to be run; empty where it was a file with a path."""
    name = error.filename
    return name if isinstance(name, str) and PurePath(name).name == name else ""


def _told(error: Exception) -> str:
    """Return an error in one line; one that no check expects says what it is."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, GamedayError | OSError | subprocess.SubprocessError) and str(error):
        text, cause = str(error), error.__cause__
        if isinstance(cause, OSError) and cause.strerror:
            # Who refuses has named the place already.
            text = text.replace(str(cause), cause.strerror)
        lines = text.splitlines()
        # What announces a log is followed by it; its last line is the one that matters.
        return f"{lines[0]} {lines[-1].strip()}" if lines[0].endswith(":") else lines[0]
    return f"does not work: {error!r}"
