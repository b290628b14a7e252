"""Read-only data: a service can create nothing in its data folder, nor open a file to write."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.storage.folder import Folder
from gameday.faults.storage.locks import Attributes, Lock, Modes
from gameday.faults.timing import timed
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.runtimes.mechanisms.storage import IMMUTABLE_ATTRIBUTE

__all__ = ["ReadOnlyData"]

_REFUSALS = ("Permission denied", "Operation not permitted", "Read-only file system")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnlyData:
    """The data folder of a service and everything in it becomes read-only.

    Mechanism: where the service's user is not root, the modes of all folders and files; where it
    is, whom modes do not hold back, the immutable attribute, in docker only on a disk that the
    target bounds. What the service has open stays open to it. Proven when nothing in the folder is
    left that can be written, and creating a file as the service's user fails. Undone when every
    mode or attribute is the old one, a file can be created, and the service, started again if it
    died of it, answers a write.
    """

    verb: ClassVar[str] = "read-only-data"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its disk", outlives_process=True)
    target: str
    """The service whose data are shut."""

    def requirements(self, runtime: str) -> Requirements:
        roots = runtime == "process" and os.geteuid() == 0
        return Requirements(mechanisms=(IMMUTABLE_ATTRIBUTE,) if roots else ())

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        folder = Folder(service)
        if not folder.is_roots:
            return _Shutting(environment.clock, folder, Modes(folder))
        place = service.host_folder()
        if place is None:
            raise EnvironmentRefused(
                f"read-only-data: {self.target} runs as root, which ignores permissions, and its "
                "data cannot be reached from here; add `disk: 64MB`"
            )
        return _Shutting(environment.clock, folder, Attributes(place))


class _Shutting:
    """One folder that is shut, and opened as it was."""

    def __init__(self, clock: Clock, folder: Folder, lock: Lock) -> None:
        self._clock = clock
        self._folder = folder
        self._lock = lock
        self.undo_text = (
            f"give everything in {self._folder.path} of {self._folder.name} its old {self._lock}"
        )
        self.asked: Mapping[str, Scalar] = {
            "folder": self._folder.path,
            "by": str(self._lock),
            "user": self._folder.user,
        }

    def inject(self) -> Window:
        return timed(self._clock, self._lock.shut)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        shut, open_ = self._lock.count()
        written, came = self._folder.try_to_write()
        return Proof(
            proven=shut > 0 and open_ == 0 and not written and came in _REFUSALS,
            measured={
                "shut": shut,
                "open": open_,
                "write": came,
                "service_says": self._folder.says(),
            },
        )

    def is_active(self) -> Proof:
        """Nothing in the folder can be written yet: an entry point may open what is its own."""
        shut, open_ = self._lock.count()
        return Proof(proven=shut > 0 and open_ == 0, measured={"shut": shut, "open": open_})

    def undo(self) -> Window:
        return timed(self._clock, self._lock.open, self._folder.revive)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        answer = self._folder.answers(checkpoint)
        other = self._lock.unlike_before()
        written, came = self._folder.try_to_write()
        return Proof(
            proven=answer.proven and other == 0 and written,
            measured={**answer.measured, "unlike_before": other, "write_after": came},
        )
