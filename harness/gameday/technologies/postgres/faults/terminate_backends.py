"""Terminate backends: the server ends the connections of its clients."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed, until
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import regular, require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.postgres.server import (
    OURS,
    PostgresServer,
    Row,
    SqlError,
    SqlSession,
    server_of,
)

__all__ = ["TerminateBackends"]

_END_LIMIT_NS = 5 * SECOND
_BY_ADMINISTRATOR = "57P01"
_WITNESS = f"{OURS}-witness"

_CLIENTS = """
SELECT pid, backend_start::text, application_name, usename::text FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(%s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminateBackends:
    """The server ends every connection of a matching client, once.

    Mechanism: `pg_terminate_backend`, by a superuser. Who is connected when the fault comes is
    hit; who comes later is not, so `for` only says when the server is looked at again. Proven
    when at least one matched, none of those lives, and a witness of the harness's own, ended with
    them, heard FATAL 57P01. Undone when a row is committed on the direct path.
    """

    verb: ClassVar[str] = "terminate-backends"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"postgres", "postgres-replica"})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True)
    target: str
    """The server."""
    application: str = ""
    """A regular expression, searched in each client's application_name; empty: all."""
    user: str = ""
    """A regular expression, searched in each client's user name; empty: all."""

    def __post_init__(self) -> None:
        require(regular("application", self.application), regular("user", self.user))

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        return _Terminating(environment.clock, self, service, server_of(environment, self.target))


class _Terminating:
    """One ending of those who were connected at that moment."""

    def __init__(
        self, clock: Clock, fault: TerminateBackends, service: Service, server: PostgresServer
    ) -> None:
        self._clock = clock
        self._fault = fault
        self._service = service
        self._server = server
        self._hit: tuple[tuple[int, str], ...] | None = None
        self._witness: SqlSession | None = None
        self.undo_text = "nothing: clients connect again by themselves"
        self.asked: Mapping[str, Scalar] = {
            "application": self._fault.application,
            "user": self._fault.user,
        }

    def inject(self) -> Window:
        self._witness = self._server.open(_WITNESS)
        judge = self._server.open()
        try:
            self._hit = self._matching(judge.rows(_CLIENTS))
            pids = [self._witness.pid, *(pid for pid, _ in self._hit)]
            return timed(self._clock, lambda: judge.rows(_END, pids))
        finally:
            judge.close()

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """At least one was hit, none of those lives, and the witness heard why."""
        try:
            # Of a fault that was never injected, who matches now is still to be gone.
            clients = self._server.rows(_CLIENTS)
            hit = self._matching(clients) if self._hit is None else self._hit
            limit_ns = _END_LIMIT_NS if self._hit else 0
            gone = until(self._clock, lambda: not self._living(hit), limit_ns, checkpoint)
            living = self._living(hit)
        except SqlError as error:
            return Proof(proven=False, measured={"error": str(error)})
        heard = self._witness_heard()
        return Proof(
            proven=bool(hit) and gone and heard == _BY_ADMINISTRATOR,
            measured={
                "matched": len(hit),
                "terminated": len(hit) - len(living),
                "witness_heard": heard,
            },
        )

    def undo(self) -> Window:
        return timed(self._clock, *(() if self._witness is None else (self._witness.close,)))

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A new login and what the server answers to it."""
        answer = answers_again(self._service, checkpoint)
        measured = dict(answer.measured)
        if answer.proven:
            try:
                measured["connected_after"] = len(self._matching(self._server.rows(_CLIENTS)))
            except SqlError as error:
                return Proof(proven=False, measured={**measured, "error": str(error)})
        return Proof(proven=answer.proven, measured=measured)

    def _matching(self, clients: Sequence[Row]) -> tuple[tuple[int, str], ...]:
        return tuple(
            (int(str(pid)), str(started))
            for pid, started, application, user in clients
            if not str(application).startswith(OURS)
            and re.search(self._fault.application, str(application))
            and re.search(self._fault.user, str(user))
        )

    def _living(self, hit: tuple[tuple[int, str], ...]) -> set[tuple[int, str]]:
        clients = self._server.rows(_CLIENTS)
        return set(hit) & {(int(str(pid)), str(started)) for pid, started, _, _ in clients}

    def _witness_heard(self) -> str:
        if self._witness is None:
            return "there was none"
        try:
            self._witness.rows("SELECT 1")
        except SqlError as error:
            return error.code or str(error)
        return "nothing"
