"""The mechanisms of a host that faults are made of, and whether they work here."""

import functools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from gameday.errors import GamedayError

__all__ = ["Mechanism", "Trial", "trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """Something that a host may lack, such as a binary, a privilege or a part of its kernel."""

    name: str
    """As `gameday doctor` and a refusal call it, such as "memory limit in process"."""
    used_for: str
    cure: str
    """How to get it, or what to do without it."""
    check: Callable[[], str]
    """Use it, harmlessly and within seconds, and return what was seen.

    Raises GamedayError, OSError or SubprocessError when it does not work.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of using a mechanism."""

    works: bool
    seen: str


@functools.cache
def trial(mechanism: Mechanism) -> Trial:
    """Use a mechanism, once a process, and return what came of it."""
    try:
        return Trial(works=True, seen=mechanism.check())
    except (GamedayError, OSError, subprocess.SubprocessError) as error:
        return Trial(works=False, seen=(str(error) or repr(error)).splitlines()[0])
