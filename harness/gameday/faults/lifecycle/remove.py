"""Remove: a service is gone, with or without its data, and made anew."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.environment import Checkpoint, Environment, NotReadyError, Service
from gameday.api.fault import Conflicts, Example, Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import PROCESSES, answers_again, taken_by
from gameday.faults.timing import until
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits

__all__ = ["Remove"]

_GONE_LIMIT_NS = 10 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A service is removed, and later replaced by a new one at the same address.

    In docker the container is removed by force, with its anonymous volumes or without; its
    address is its companion's and stays. What it kept outside of a volume is gone either way. In
    process there is nothing to remove but the data: `drop` kills the process and wipes its data
    folder, `keep` is refused, as it would be a kill. Proven when the old container is gone, and
    its volumes are gone or still there, as was asked for. Undone when another container, with
    the old volumes or with others, answers a write. A marker that was stored before is looked
    for, where the kind of service can store one: after `drop` it must not be found. After `keep`
    it is reported only: a service that does not persist loses it by its own fault.
    """

    verb: ClassVar[str] = "remove"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    example: ClassVar[Example] = Example(decisive=("volume",))
    target: str
    """The service to remove."""
    volume: Literal["keep", "drop"] = "keep"
    """What happens to its data."""

    def requirements(self, runtime: str) -> Requirements:
        if runtime != "process" or self.volume == "drop":
            return Requirements()
        return Requirements(
            impossible="cannot be removed in process with its volume kept: there is no "
            "container, and without losing data it is a kill; use kill, or volume: drop"
        )

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        impossible = self.requirements(environment.runtime).impossible
        if impossible:
            raise EnvironmentRefused(f"{self.target} {impossible}")
        return _Removing(environment.clock, service, keep=self.volume == "keep")


class _Removing:
    """One removal: proven by what is left of the old, undone by what the new consists of."""

    def __init__(self, clock: Clock, service: Service, *, keep: bool) -> None:
        self._clock = clock
        self._service = service
        self._keep = keep
        self._before = service.parts()
        self._marker: str | None = None
        self._removed = False
        self.asked: Mapping[str, Scalar] = {"volume": "keep" if self._keep else "drop"}

    @property
    def undo_text(self) -> str:
        data = "the old data" if self._keep else "no data"
        return f"start a new {self._service.spec.name} with {data}"

    def inject(self) -> Window:
        self._before = self._service.parts()
        marker = uuid.uuid4().hex
        if self._service.plant(marker):
            self._marker = marker
        return self._service.remove(keep_data=self._keep)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Of the old parts none is left but, if that was asked for, the volumes."""
        self._removed = until(
            self._clock,
            lambda: self._service.left(self._before) == self._wanted(),
            _GONE_LIMIT_NS,
            checkpoint,
        )
        left = self._service.left(self._before)
        alive = self._service.process_state().alive
        return Proof(
            proven=self._removed and not alive,
            measured={
                "removed": _words(self._before - left),
                "left": _words(left),
                "alive": alive,
            },
        )

    def is_active(self) -> Proof:
        """Nothing runs in its place."""
        alive = self._service.process_state().alive
        return Proof(proven=not alive, measured={"alive": alive})

    def lapse(self) -> str:
        return taken_by(self._service) if self._removed else ""

    def undo(self) -> Window:
        # A removal that was never answered may have been done.
        with suppress(EnvironmentRefused):
            self._removed |= self._service.left(self._before) == self._wanted()
        return self._service.start_again()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Another body with the volumes that were asked for, and a write on the direct path."""
        answer = answers_again(self._service, checkpoint)
        if not answer.proven:
            return answer
        after = self._service.parts()
        bodies = after - _volumes(after)
        is_new = bodies.isdisjoint(self._before)
        kept = after & _volumes(self._before)
        as_asked = kept == (_volumes(self._before) if self._keep or not self._removed else set())
        found = self._finds_marker()
        forgot = self._keep or not self._removed or found is not True
        return Proof(
            proven=is_new == self._removed and as_asked and forgot,
            measured={
                **answer.measured,
                "made": _words(after - self._before),
                "kept": _words(kept),
                "marker_found": found,
            },
        )

    def _wanted(self) -> frozenset[str]:
        """Return what is to be left of the old parts."""
        return _volumes(self._before) if self._keep else frozenset()

    def _finds_marker(self) -> bool | None:
        """None: there was none to find."""
        if self._marker is None:
            return None
        try:
            return self._service.finds(self._marker)
        except NotReadyError:
            return None


def _volumes(parts: frozenset[str]) -> frozenset[str]:
    return frozenset(part for part in parts if part.startswith("volume "))


def _words(parts: frozenset[str]) -> str:
    return ", ".join(sorted(parts)) or "nothing"
