"""A process outside of the harness that heals when the harness cannot, `python -m` this module.

It reads what the harness tells it, one JSON object a line: a fault that is in and until when it
may be (`fault`, `until_ns`), a fault that is healed (`healed`), and that all is done (`done`).
When the lines end without `done` the harness is dead; when a fault outlives its time the harness
hangs. Either way everything that carries the run's marks is removed.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from gameday.child import Child
from gameday.environment.reaping import leftovers_of, reap
from gameday.errors import InternalError
from gameday.model.clock import SECOND

__all__ = ["Janitor"]

_END_LIMIT_NS = 2 * SECOND
_ACT_LIMIT_NS = 30 * SECOND
_LOOK_S = 3600.0
_LOOKS_AGAIN_S = (0.0, 0.5, 1.5)


class Janitor:
    """The harness's side: what it tells the janitor of one run."""

    def __init__(self, run: str, *, in_docker: bool, log: Path) -> None:
        arguments = [run, "docker" if in_docker else "process"]
        self._arguments = ["-m", "gameday.environment.janitor", *arguments]
        self._log = log
        self._child: Child | None = None

    def start(self) -> None:
        """Start the process, before anything that it is to remove.

        It carries no marks of the run, so that it does not remove itself.
        """
        self._child = Child("the janitor", self._arguments, self._log)

    def check(self) -> None:
        """Raise InternalError when it is gone: nothing may stay broken without it."""
        if self._child is not None:
            self._child.check()

    def fault_until(self, step: int, until_ns: int) -> None:
        """Let it act if the fault of that step is not healed by `until_ns` of the clock.

        Raises InternalError when the janitor is gone: nothing may be broken without it.
        """
        self._say({"fault": step, "until_ns": until_ns})

    def healed(self, step: int) -> None:
        """Let it forget the fault of that step."""
        self._say({"healed": step})

    def dismiss(self) -> None:
        """Let it end without doing anything: the harness itself has cleaned up."""
        if self._child is not None:
            self._say({"done": True})
            self._child.end(_END_LIMIT_NS)

    def abandon(self) -> None:
        """Let it find that nobody talks to it any more, as it does when the harness dies."""
        if self._child is not None:
            self._child.end(_ACT_LIMIT_NS)

    def _say(self, told: dict[str, int]) -> None:
        if self._child is None:
            raise InternalError("the janitor was not started")
        self._child.check()
        self._child.say(json.dumps(told))


def _watch(run: str, in_docker: bool) -> None:
    until_ns: dict[int, int] = {}
    data = b""
    while True:
        left_s = _LOOK_S
        if until_ns:
            left_s = max(0.0, (min(until_ns.values()) - time.monotonic_ns()) / SECOND)
        if not select.select([sys.stdin], [], [], left_s)[0]:
            if until_ns and min(until_ns.values()) <= time.monotonic_ns():
                _act(run, in_docker, "a fault outlived its time")
                return
            continue
        chunk = os.read(sys.stdin.fileno(), 1 << 16)
        if not chunk:
            _act(run, in_docker, "the harness is gone")
            return
        *lines, data = (data + chunk).split(b"\n")
        for line in lines:
            told: dict[str, int] = json.loads(line)
            if "done" in told:
                return
            if "fault" in told:
                until_ns[told["fault"]] = told["until_ns"]
            until_ns.pop(told.get("healed", -1), None)


def _act(run: str, in_docker: bool, why: str) -> None:
    """Remove everything of the run, and say in the log what was done."""
    say = sys.stderr.write
    say(f"{why}: removing all of run {run}\n")
    for pause_s in _LOOKS_AGAIN_S:
        # The engine may still be at what the dead harness asked it for.
        time.sleep(pause_s)
        for what in reap(run, in_docker=in_docker):
            say(f"removed {what}\n")
    for what in leftovers_of(run, in_docker=in_docker):
        say(f"left, and not to be removed: {what}\n")


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _watch(sys.argv[1], sys.argv[2] == "docker")
