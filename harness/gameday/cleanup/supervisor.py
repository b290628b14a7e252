"""A process outside the harness that cleans up when the harness cannot: `python -m` this module.

It reads what the harness reports, one JSON object per line: a fault that is active and until when
it may be (`fault`, `until_ns`), a fault that is healed (`healed`), the result to leave if the
harness leaves none (`result`, `draft`), the phase of the run (`phase`), and the end (`done`).
If the lines end without `done`, the harness is dead; if a fault outlives its time, the harness
hangs. Either way everything with the run's labels is removed, with retries for a minute. Its own
log may fail to be written, since the disk may be full.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gameday.cleanup.labels import SUPERVISOR
from gameday.cleanup.owner import this_owner
from gameday.cleanup.reaper import force_clean
from gameday.errors import InternalError
from gameday.host.child import Child
from gameday.model.clock import SECOND

__all__ = ["SupervisorProcess"]

_READY_LIMIT_NS = 30 * SECOND
_ENGINE_LIMIT_S = 20
_END_LIMIT_NS = 2 * SECOND
_ACT_LIMIT_NS = 120 * SECOND
_LOOK_S = 3600.0
_LOOKS = 3
_TRY_FOR_S = 60.0
_FIRST_PAUSE_S, _PAUSES_GROW, _LONGEST_PAUSE_S = 0.5, 3, 8.0


class SupervisorProcess:
    """The harness's side: what it reports to the supervisor of one run."""

    def __init__(self, run: str, *, in_docker: bool, log: Path) -> None:
        arguments = [run, "docker" if in_docker else "process", this_owner()]
        self._arguments = ["-m", SUPERVISOR, *arguments]
        self._log = log
        self._child: Child | None = None

    def start(self) -> None:
        """Return once the process is ready, before there is anything that it is to remove.

        It carries no marks of the run, so that it does not remove itself. InternalError when it
        cannot do what it is for, as when the engine does not answer it.
        """
        self._child = Child("the janitor", self._arguments, self._log)
        try:
            self._child.hear(_READY_LIMIT_NS)
        except BaseException:
            self._child.kill()
            raise

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

    def leave_result(self, path: Path, draft: str) -> None:
        """Let it write `draft`, a JSON object, to `path` if it has to act and nothing is there.

        It says in `reason` why it had to, and in `clean` what it could not remove.
        """
        self._say({"result": str(path.absolute()), "draft": draft})

    def enter(self, phase: str) -> None:
        """Let it know how far the run is. One that is gone is told nothing: `check` tells."""
        if self._child is not None:
            with suppress(InternalError):
                self._say({"phase": phase})

    def dismiss(self) -> None:
        """Let it end without doing anything: the harness itself has cleaned up."""
        if self._child is not None:
            self._say({"done": True})
            self._child.end(_END_LIMIT_NS)

    def abandon(self) -> None:
        """Let it find that nobody talks to it any more, as it does when the harness dies."""
        if self._child is not None:
            self._child.end(_ACT_LIMIT_NS)

    def _say(self, told: Mapping[str, int | str]) -> None:
        if self._child is None:
            raise InternalError("the janitor was not started")
        self._child.check()
        self._child.say(json.dumps(told))


@dataclass(slots=True, kw_only=True)
class _Draft:
    """The result to write for a run whose harness wrote none."""

    path: str = ""
    text: str = ""
    phase: str = "start"

    def leave(self, why: str, left: list[str]) -> None:
        """Write it whole, or not at all; what the harness wrote stays."""
        if not self.path or Path(self.path).exists():
            return
        draft = json.loads(self.text)
        ended = f"it ended during {self.phase}; the janitor removed the run"
        draft["reason"] = f"{why}: {ended}."
        draft["clean"] = left
        beside = Path(f"{self.path}.janitor")
        try:
            beside.write_text(json.dumps(draft, indent=2) + "\n", encoding="utf-8")
            beside.replace(self.path)
        except OSError as error:
            _say(f"the result could not be written: {error}")
            with suppress(OSError):
                beside.unlink()


def _watch(run: str, in_docker: bool) -> None:
    until_ns: dict[int, int] = {}
    draft = _Draft()
    data = b""
    while True:
        left_s = _LOOK_S
        if until_ns:
            left_s = max(0.0, (min(until_ns.values()) - time.monotonic_ns()) / SECOND)
        if not select.select([sys.stdin], [], [], left_s)[0]:
            if until_ns and min(until_ns.values()) <= time.monotonic_ns():
                why = "a fault outlived its time"
                draft.leave(why, _act(run, in_docker, why))
                return
            continue
        chunk = os.read(sys.stdin.fileno(), 1 << 16)
        if not chunk:
            why = "the harness is gone"
            draft.leave(why, _act(run, in_docker, why))
            return
        *lines, data = (data + chunk).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "done" in told:
                return
            if "fault" in told:
                until_ns[told["fault"]] = told["until_ns"]
            until_ns.pop(told.get("healed", -1), None)
            if "draft" in told:
                draft.path, draft.text = told["result"], told["draft"]
            draft.phase = told.get("phase", draft.phase)


def _act(run: str, in_docker: bool, why: str) -> list[str]:
    """Remove everything of the run, and say in the log what was done; return what is left.

    Some looks are taken in any case: the engine may still be at what the dead harness asked for.
    """
    _say(f"{why}: removing all of run {run}")
    give_up = time.monotonic() + _TRY_FOR_S
    pause_s = _FIRST_PAUSE_S
    looks = 0
    while True:
        problems = force_clean(run, in_docker=in_docker, say=_say)
        looks += 1
        if (looks >= _LOOKS and not problems) or time.monotonic() >= give_up:
            break
        time.sleep(pause_s)
        pause_s = min(pause_s * _PAUSES_GROW, _LONGEST_PAUSE_S)
    for problem in problems:
        _say(f"given up: {problem}")
    return problems


def _say(text: str) -> None:
    """Write to the log, past every buffer: what is not written now is not to be tried again."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="replace"))


def _get_ready(in_docker: bool) -> None:
    """Import and ask everything now that will be needed; then it cannot fail for a lack of it."""
    if in_docker:
        import gameday.cleanup.docker_remains  # noqa: F401  needed only with an engine
        from gameday.host.docker_presence import engine_problem

        problem = engine_problem(limit_s=_ENGINE_LIMIT_S)
        if problem is not None:
            sys.exit(problem)
    with suppress(OSError):  # the harness is gone already: the end of its lines tells
        os.write(1, b'{"ready": true}\n')


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _get_ready(sys.argv[2] == "docker")
    _watch(sys.argv[1], sys.argv[2] == "docker")
