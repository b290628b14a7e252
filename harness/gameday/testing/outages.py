"""A fault on the in-memory environment, to test whatever plays faults."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Proof
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.testing.environments import MemoryEnvironment, MemoryService

__all__ = ["CountedOutage", "LastingOutage", "OutageFault", "OutageInjection", "WatchedOutage"]


class OutageInjection:
    """The service is down until it is started again; that takes only its clock's time.

    Its defects are those of the `MemoryService`, and what a subclass makes of each call.
    """

    def __init__(self, service: MemoryService) -> None:
        self.service = service
        self.calls: list[str] = []
        """What was called after the proof, in that order."""

    @property
    def undo_text(self) -> str:
        return f"start {self.service.spec.name} again"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {}

    def inject(self) -> Window:
        return self.service.kill(signal.SIGKILL)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        checkpoint()
        return self.is_down()

    def undo(self) -> Window:
        self.calls.append("undo")
        return self.service.start_again()

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        checkpoint()
        alive = self.service.process_state().alive
        return Proof(proven=alive, measured={"alive_again": alive})

    def is_down(self) -> Proof:
        alive = self.service.process_state().alive
        return Proof(proven=not alive, measured={"alive": alive})


class LastingOutage(OutageInjection):
    """An outage that can be asked whether the service is still down."""

    def is_active(self) -> Proof:
        self.calls.append("is active")
        return self.is_down()


class WatchedOutage(LastingOutage):
    """An outage of which something else tells whether it was lifted for a while."""

    def lapse(self) -> str:
        return ""


class CountedOutage(OutageInjection):
    """An outage whose mechanism counts what meets it."""

    counts: ClassVar[int | None] = None

    def met(self) -> int | None:
        return self.counts


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageFault:
    """A service of a `MemoryEnvironment` is down; `kind` is what is done to it."""

    verb: ClassVar[str] = "outage"
    hits: ClassVar[Hits] = "service"
    target: str
    kind: type[OutageInjection] = OutageInjection

    def on(self, environment: Environment) -> OutageInjection:
        assert isinstance(environment, MemoryEnvironment)
        return self.kind(environment.service(self.target))
