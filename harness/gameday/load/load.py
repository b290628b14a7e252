"""The run's side of the load driver: starts it, lets it begin, stops it, and reads its report."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from gameday.errors import InternalError
from gameday.host.child import Child
from gameday.load.messages import DriverReport, DriverSpec, StreamPlan
from gameday.load.pacer import Schedule
from gameday.model.clock import SECOND
from gameday.model.operation import ROW
from gameday.model.plan import Plan
from gameday.registry import client_of

__all__ = ["DriverReport", "LoadDriver", "StreamPlan", "history_bytes"]

_READY_LIMIT_NS = 15 * SECOND
_EXIT_LIMIT_NS = 2 * SECOND


def history_bytes(plan: Plan) -> int:
    """Return what the history of a run takes on its disk from the start, for its longest load."""
    ends = (Schedule(start_ns=0, rate_per_s=s.rate_per_s) for s in plan.streams)
    return sum(schedule.due_by(plan.longest_ns) for schedule in ends) * ROW.size


class LoadDriver:
    """One load driver in a process of its own, which writes its history into `folder`.

    It ends with the process that started it, at the latest `max_ns` worth of operations after it
    began, and InternalError with the end of its log says when it died before that.
    """

    def __init__(
        self, streams: Sequence[StreamPlan], folder: Path, run: str, max_ns: int, log: Path
    ) -> None:
        """Nothing is started yet; `max_ns` bounds how long each stream is offered."""
        ends = (Schedule(start_ns=0, rate_per_s=s.rate_per_s).due_by(max_ns) for s in streams)
        self._spec = DriverSpec(
            run=run,
            folder=folder,
            capacity=sum(ends),
            streams=tuple(streams),
            clients={s.client: client_of(s.client) for s in streams},
            path=tuple(sys.path),
        )
        self._log = log
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Return once the history's files are there and the clients have tried to connect."""
        arguments = ("-m", "gameday.load.driver")
        self._child = Child("the load driver", arguments, self._log)
        try:
            self._child.say(self._spec.to_json())
            self._child.hear(_READY_LIMIT_NS)
        except BaseException:
            self.kill()
            raise

    def begin(self, at_ns: int) -> None:
        """Let the first operation of each stream be due at `at_ns` of the monotonic clock."""
        self._running().say(json.dumps({"begin_at_ns": at_ns}))

    def poll(self) -> None:
        """Raise InternalError if the driver has died."""
        self._running().check()

    def stop(self, timeout_ns: int) -> DriverReport:
        """End the load, wait for what is still out, and return the report of a whole history.

        InternalError if that takes longer than the longest deadline and `timeout_ns`; the driver
        is gone either way.
        """
        child = self._running()
        timeout_ns += max((stream.deadline_ns for stream in self._spec.streams), default=0)
        try:
            child.say(json.dumps({"stop": True}))
            report = dict(child.hear(timeout_ns))
            if not report.pop("done", False):
                raise InternalError(f"{child.name} answered its stop with {report}")
            child.end(_EXIT_LIMIT_NS)
        finally:
            child.kill()
        return DriverReport(**report)  # type: ignore[arg-type]

    def kill(self) -> None:
        """Make sure that the driver is gone; what it recorded so far stays."""
        if self._child is not None:
            self._child.kill()

    def _running(self) -> Child:
        if self._child is None:
            raise InternalError("the load driver was not started")
        return self._child
