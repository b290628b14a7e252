"""File descriptors: a service may open only so many more."""

import socket
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Thread
from typing import ClassVar

from gameday.api.descriptors import Descriptors, Filing
from gameday.api.environment import Checkpoint, Environment, NotReadyError, Service
from gameday.api.fault import Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.lifecycle.termination import answers_again, until
from gameday.model.clock import MILLISECOND, SECOND
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
    """A service may open so many more files and connections than it has open.

    Mechanism, both environments: the soft limit of the process that listens on the service's
    port is set from this host to a number below which that many are free. Proof: the kernel says
    that limit; connections take all numbers that are free, and then a write is not answered for
    500 ms. They are closed again, so that the fault goes on with that many free. Undo: the old
    limit is set and read from the kernel, and a write is answered.
    """

    verb: ClassVar[str] = "file-descriptors"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis", "redis-replica", "app"})
    """Those of which one process keeps all connections; PostgreSQL hands each to a child."""
    target: str
    """The service to keep from opening files."""
    free: int
    """1 to 500 that it may still open when the fault comes in."""

    def __post_init__(self) -> None:
        require(("free", 1 <= self.free <= _MOST, f"1 to {_MOST}"))

    def requirements(self, runtime: str) -> Requirements:
        here = (CONTAINERS_HERE,) if runtime == "docker" else ()
        return Requirements(mechanisms=(*here, DESCRIPTORS))

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        if not isinstance(service, Filing):
            raise EnvironmentRefused(
                f"nobody counts the open files of {self.target} in {environment.runtime}"
            )
        service.descriptors()  # refuses now what would be refused once load is running
        return _Shortage(self, service, service)


class _Shortage:
    """One limit of a process, with the one from before."""

    def __init__(self, fault: FileDescriptors, service: Service, files: Filing) -> None:
        self._fault = fault
        self._service = service
        self._files = files
        self._before: Descriptors | None = None
        self._soft: int | None = None
        self._trouble: EnvironmentRefused | None = None

    @property
    def undo_text(self) -> str:
        return f"let {self._fault.target} open as many files as before"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {"free": self._fault.free}

    def inject(self) -> Window:
        called_ns = time.monotonic_ns()
        before = self._files.descriptors()
        soft = before.soft_for(self._fault.free)
        if soft >= before.soft:
            raise EnvironmentRefused(
                f"{self._fault.verb} of {self._fault.target}: {before.free()} are free, "
                f"{self._fault.free} are wanted"
            )
        self._before, self._soft = before, soft
        self._files.limit_descriptors(before, soft)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Take every number that is free with connections, and ask for one more."""
        before = self._files.descriptors()
        with ExitStack() as held:
            opened = 0
            for _ in range(self._fault.free + _MORE):
                checkpoint()
                opened += _connects(self._service, held)
            full = until(lambda: self._files.descriptors().free() <= 0, _TAKE_LIMIT_NS, checkpoint)
            now = self._files.descriptors()
            served = _answers(self._service, checkpoint)
        until(
            lambda: len(self._files.descriptors().open) <= len(before.open),
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
                "free_after": self._files.descriptors().free(),
            },
        )

    def is_active(self) -> Proof:
        """The same process has the same limit."""
        now = self._files.descriptors()
        before = self._before or now
        same = (now.pid, now.started) == (before.pid, before.started)
        return Proof(
            proven=same and now.soft == self._soft,
            measured={"limit": now.soft, "same_process": same},
        )

    def undo(self) -> Window:
        called_ns = time.monotonic_ns()
        self._trouble = None
        if self._before is not None:
            try:
                self._files.limit_descriptors(self._before, self._before.soft)
            except EnvironmentRefused as error:
                # Whether that left anything is for the re-reading to say.
                self._trouble = error
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The same process has its old limit, or another one has taken its place."""
        answer = answers_again(self._service, checkpoint)
        measured: dict[str, Scalar] = {}
        if self._trouble is not None:
            measured["undo_error"] = str(self._trouble)
        try:
            now = self._files.descriptors()
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        before = now if self._before is None else self._before
        same = (now.pid, now.started) == (before.pid, before.started)
        return Proof(
            proven=answer.proven and (now.soft == before.soft or not same),
            measured={**measured, "limit_after": now.soft, **answer.measured},
        )


def _connects(service: Service, held: ExitStack) -> bool:
    """Open a connection that is held and says nothing; tell whether the kernel accepted it."""
    address = (service.upstream.host, service.upstream.port)
    try:
        held.enter_context(socket.create_connection(address, _CONNECT_LIMIT_S))
    except OSError:
        return False
    return True


def _answers(service: Service, checkpoint: Checkpoint) -> bool:
    """Tell whether a write is answered soon; the question is left behind if it is not."""
    answered: Future[bool] = Future()

    def check() -> None:
        try:
            service.check()
        except NotReadyError:
            answered.set_result(False)
        else:
            answered.set_result(True)

    Thread(target=check, daemon=True).start()
    return until(answered.done, _SILENCE_NS, checkpoint) and answered.result()
