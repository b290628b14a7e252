"""Pause: a service that is there, accepts connections and does nothing."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import (
    Checkpoint,
    Endpoint,
    Environment,
    FreezerState,
    NotReadyError,
    Service,
)
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.api.witness import FreezeWitness
from gameday.faults.recipes.termination import PROCESSES, answers_again
from gameday.faults.timing import took_ns, until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits

__all__ = ["Pause"]

_FREEZE_LIMIT_NS = 2 * SECOND
_SILENCE_NS = 250 * MILLISECOND
"""How long an answer may fail to come before it counts as none; an answer takes some 5 ms."""
_STANDS_STILL_NS = 150 * MILLISECOND
"""How long it has to be found frozen: what runs for a part of every 100 ms is met in it."""
_CONNECT_LIMIT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Every process of a service is frozen, and later resumed.

    It dies to nobody: the kernel accepts connections for it, and no answer comes. Mechanism: in
    docker the cgroup freezer, by the engine; in process SIGSTOP to every process. Proven when all
    of it is frozen, a connection is accepted on the direct path and a write is not answered for
    250 ms, so a pause lasts at least that long. Undone when nothing is frozen and a write is
    answered. The pause proper is measured from one call to the other.
    """

    verb: ClassVar[str] = "pause"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    target: str
    """The service to freeze."""

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        return _Pausing(environment.clock, service)


class _Pausing:
    """One pause: thawed whatever its state, and then read again."""

    def __init__(self, clock: Clock, service: Service) -> None:
        self._clock = clock
        self._service = service
        self._frozen: Window | None = None
        self._thawed: Window | None = None
        self._witness: FreezeWitness | None = None
        self.undo_text = f"thaw every process of {self._service.spec.name}"
        self.asked: Mapping[str, Scalar] = {}

    def inject(self) -> Window:
        self._frozen = self._service.freeze()
        return self._frozen

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """All is frozen, a connection is accepted, and nothing is answered."""
        frozen = self._comes_to("frozen", checkpoint)
        accepts = _accepts(self._service.upstream)
        answer_ns = self._answer_ns(checkpoint) if frozen else None
        silent = frozen and answer_ns is None
        heard: dict[str, Scalar] = {}
        if silent:
            heard["silent_at_least_ns"] = _SILENCE_NS
        elif frozen:
            heard["answered_after_ns"] = answer_ns
        if silent:
            self._witness = self._service.watch_freeze()
        return Proof(
            proven=frozen and accepts and silent,
            measured={
                "state": self._service.freezer_state(),
                "accepts_connections": accepts,
                **heard,
            },
        )

    def is_active(self) -> Proof:
        """It is frozen, and was all the time if it is watched.

        Else it is looked at for a while: what thaws it in turns may be met at the wrong moment.
        """
        still_ns = _STANDS_STILL_NS if self._witness is None else 0
        thawed = until(self._clock, lambda: self._service.freezer_state() != "frozen", still_ns)
        return Proof(
            proven=not thawed and not self.lapse(),
            measured={"state": self._service.freezer_state()},
        )

    def lapse(self) -> str:
        return "" if self._witness is None else self._witness.thawed()

    def undo(self) -> Window:
        thawed = self._service.thaw()
        self._thawed = self._thawed or thawed
        return thawed

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Nothing is frozen any more, and a write is answered."""
        runs = self._comes_to("running", checkpoint)
        state = self._service.freezer_state()
        if not runs:
            return Proof(proven=False, measured={"state_after": state})
        answer = answers_again(self._service, checkpoint)
        paused_ns: int | None = None
        if self._frozen is not None and self._thawed is not None:
            paused_ns = self._thawed.end_ns - self._frozen.end_ns
        return Proof(
            proven=answer.proven,
            measured={"state_after": state, "paused_ns": paused_ns, **answer.measured},
        )

    def _comes_to(self, state: FreezerState, checkpoint: Checkpoint) -> bool:
        return until(
            self._clock,
            lambda: self._service.freezer_state() == state,
            _FREEZE_LIMIT_NS,
            checkpoint,
        )

    def _answer_ns(self, checkpoint: Checkpoint) -> int | None:
        """Return how soon a check on the direct path came to an end; None: not within the silence.

        The check has a limit of its own that is longer than a pause may be, so it is left behind.
        """

        def check() -> None:
            # Refused, or cut off: an end that a frozen service would not have brought about.
            with suppress(NotReadyError):
                self._service.check()

        return took_ns(self._clock, check, _SILENCE_NS, checkpoint)


def _accepts(endpoint: Endpoint) -> bool:
    try:
        with socket.create_connection((endpoint.host, endpoint.port), _CONNECT_LIMIT_S):
            return True
    except OSError:
        return False
