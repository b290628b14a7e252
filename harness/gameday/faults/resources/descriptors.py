"""File descriptors: a service may open only so many more."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.descriptors import Descriptors
from gameday.api.environment import Checkpoint, Environment, NotReadyError, Service
from gameday.api.fault import Bears, Example, Injection, Proof, Requirements
from gameday.api.service_kind import keeps_all_connections
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import attempted, timed, took_ns, undo_error, until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE
from gameday.runtimes.mechanisms.process_limits import DESCRIPTORS

__all__ = ["FileDescriptors"]

_MOST = 500
_MORE = 3
_CONNECT_LIMIT_S = 1.0
_TAKE_LIMIT_NS = 2 * SECOND
_SILENCE_NS = 500 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDescriptors:
    """A service can open only this many more files and connections.

    Mechanism, both environments: the soft limit of the process that listens on the service's
    port is set from this host to a number below which that many are free. Proof: the kernel says
    that limit; connections take all numbers that are free, and then a write is not answered for
    500 ms. They are closed again, so that the fault goes on with that many free. Undo: the old
    limit is set and read from the kernel, and a write is answered.
    """

    verb: ClassVar[str] = "file-descriptors"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[Bears] = keeps_all_connections
    """Kinds of which one process keeps all connections; others hand each to a child."""
    example: ClassVar[Example] = Example(parameters={"free": 1})
    target: str
    """The service to keep from opening files."""
    free: int
    """1 to 500 more than are open at the injection."""

    def __post_init__(self) -> None:
        require(("free", 1 <= self.free <= _MOST, f"1 to {_MOST}"))

    def requirements(self, runtime: str) -> Requirements:
        here = (CONTAINERS_HERE,) if runtime == "docker" else ()
        return Requirements(mechanisms=(*here, DESCRIPTORS))

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        service.descriptors()  # refuses now what would be refused once load is running
        return _Shortage(environment.clock, self, service)


class _Shortage:
    """One limit of a process, with the one from before."""

    def __init__(self, clock: Clock, fault: FileDescriptors, service: Service) -> None:
        self._clock = clock
        self._fault = fault
        self._service = service
        self._before: Descriptors | None = None
        self._soft: int | None = None
        self._trouble = ""
        self.undo_text = f"let {self._fault.target} open as many files as before"
        self.asked: Mapping[str, Scalar] = {"free": self._fault.free}

    def inject(self) -> Window:
        return timed(self._clock, self._limit)

    def _limit(self) -> None:
        before = self._service.descriptors()
        soft = before.soft_for(self._fault.free)
        if soft >= before.soft:
            raise EnvironmentRefused(
                f"{self._fault.verb} of {self._fault.target}: {before.free()} are free, "
                f"{self._fault.free} are wanted"
            )
        self._before, self._soft = before, soft
        self._service.limit_descriptors(before, soft)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Take every number that is free with connections, and ask for one more."""
        before = self._service.descriptors()
        with ExitStack() as held:
            opened = 0
            for _ in range(self._fault.free + _MORE):
                checkpoint()
                opened += _connects(self._service, held)
            full = until(
                self._clock,
                lambda: self._service.descriptors().free() <= 0,
                _TAKE_LIMIT_NS,
                checkpoint,
            )
            now = self._service.descriptors()
            served = _answers(self._clock, self._service, checkpoint)
        until(
            self._clock,
            lambda: len(self._service.descriptors().open) <= len(before.open),
            _TAKE_LIMIT_NS,
            checkpoint,
        )
        return Proof(
            proven=full and now.soft == self._soft and not served,
            measured={
                "limit_now": now.soft,
                "open_before": len(before.open),
                "connections_tried": opened,
                "connections_taken": len(now.open - before.open),
                "served_beyond": served,
                "free_after": self._service.descriptors().free(),
            },
        )

    def is_active(self) -> Proof:
        """The same process has the same limit."""
        now = self._service.descriptors()
        before = self._before or now
        same = (now.pid, now.started) == (before.pid, before.started)
        return Proof(
            proven=same and now.soft == self._soft,
            measured={"limit": now.soft, "same_process": same},
        )

    def undo(self) -> Window:
        window, self._trouble = attempted(self._clock, self._give_back)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The same process has its old limit, or another one has taken its place."""
        answer = answers_again(self._service, checkpoint)
        measured = undo_error(self._trouble)
        try:
            now = self._service.descriptors()
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        before = now if self._before is None else self._before
        same = (now.pid, now.started) == (before.pid, before.started)
        return Proof(
            proven=answer.proven and (now.soft == before.soft or not same),
            measured={**measured, "limit_after": now.soft, **answer.measured},
        )

    def _give_back(self) -> None:
        if self._before is not None:
            self._service.limit_descriptors(self._before, self._before.soft)


def _connects(service: Service, held: ExitStack) -> bool:
    """Open a connection that is held and says nothing; tell whether the kernel accepted it."""
    address = (service.upstream.host, service.upstream.port)
    try:
        held.enter_context(socket.create_connection(address, _CONNECT_LIMIT_S))
    except OSError:
        return False
    return True


def _answers(clock: Clock, service: Service, checkpoint: Checkpoint) -> bool:
    """Tell whether a write is answered soon; the question is left behind if it is not."""
    answered = False

    def check() -> None:
        nonlocal answered
        with suppress(NotReadyError):
            service.check()
            answered = True

    return took_ns(clock, check, _SILENCE_NS, checkpoint) is not None and answered
