"""libfaketime, by which a service has a wall clock of its own."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gameday.api.mechanism import Mechanism
from gameday.errors import EnvironmentRefused
from gameday.host.faketime import FakeClock, ahead, find_libfaketime, forget
from gameday.model.clock import SECOND

__all__ = ["LIBFAKETIME"]

_ANSWER_LIMIT_S = 10
_ASKED_NS = 86_400 * SECOND
_NEAR_NS = 10 * SECOND
_TELL = "import time; print(time.time_ns())"


def _try() -> str:
    """Ask a Python of this host, whose clock is to be a day ahead."""
    if find_libfaketime() is None:
        raise EnvironmentRefused("no faketime/libfaketime.so.1 in /usr/lib, /usr/lib64, /usr/local")
    name = f"trial-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="trial-of-a-clock-") as folder:
        clock = FakeClock(name, "trial", Path(folder))
        clock.say(ahead(_ASKED_NS, 1))
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _TELL],
                env={**os.environ, **clock.variables(None)},
                capture_output=True,
                text=True,
                timeout=_ANSWER_LIMIT_S,
                check=True,
            )
        finally:
            forget(name)
    off_ns = int(done.stdout) - time.time_ns()
    if abs(off_ns - _ASKED_NS) > _NEAR_NS:
        raise EnvironmentRefused(f"a clock that is to be a day ahead is {off_ns} ns ahead")
    return "the clock of a process was a day ahead"


LIBFAKETIME = Mechanism(
    name="libfaketime",
    used_for="clock-offset and clock-drift",
    cure="install libfaketime",
    check=_try,
)
