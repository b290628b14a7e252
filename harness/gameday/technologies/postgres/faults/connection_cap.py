"""Connection cap: the server has no slot for another client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import first_proven, timed, until
from gameday.model.clock import MILLISECOND, SECOND, BackgroundTask, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.postgres.server import (
    LOOK_LIMIT_S,
    OURS,
    PostgresServer,
    SqlError,
    SqlSession,
    server_of,
)

__all__ = ["ConnectionCap"]

_HOLDER = f"{OURS}-cap"
_MOST_SLOTS = 500
_MOST_FREE = 20
_NO_SLOT = "53300"
_LOOK_NS = 100 * MILLISECOND
_END_LIMIT_NS = 5 * SECOND
_JOIN_LIMIT_NS = 10 * SECOND

_COUNT = """
SELECT current_setting('max_connections')::int, count(*),
       count(*) FILTER (WHERE application_name = %s)
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCap:
    """New clients are refused, superusers too; connected ones are not affected.

    Mechanism: sessions of the harness's own fill the slots, but for `free` of them, and take those
    that others give back within a tenth of a second; they die with the harness. A limit of a
    database or a user would not hit the superuser that the official image makes. Proven when,
    after `free` further connections, less those that others have taken since, the next one is
    refused with 53300. Undone when none of these sessions is left and a new client commits a row.
    """

    verb: ClassVar[str] = "connection-cap"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"postgres", "postgres-replica"})
    target: str
    """The server."""
    free: int = 0
    """How many connection slots stay free, 0 to 20."""

    def __post_init__(self) -> None:
        require(("free", 0 <= self.free <= _MOST_FREE, f"0 to {_MOST_FREE}"))

    def on(self, environment: Environment) -> Injection:
        server = server_of(environment, self.target)
        try:
            slots = int(str(server.rows("SELECT current_setting('max_connections')")[0][0]))
        except SqlError as error:
            raise EnvironmentRefused(f"connection-cap of {self.target}: {error}") from error
        if slots > _MOST_SLOTS:
            raise EnvironmentRefused(
                f"connection-cap of {self.target}: max_connections is {slots}, and at most "
                f"{_MOST_SLOTS} are filled; lower it in the target's options"
            )
        service = environment.service(self.target)
        return _Capping(environment.clock, self, service, server, slots)


class _Capping:
    """The sessions that fill the slots, and the one thread that keeps them filled."""

    def __init__(
        self,
        clock: Clock,
        fault: ConnectionCap,
        service: Service,
        server: PostgresServer,
        slots: int,
    ) -> None:
        self._clock = clock
        self._fault = fault
        self._service = service
        self._server = server
        self._slots = slots
        self._held: list[SqlSession] = []
        self._lock = Lock()
        self._over = False
        self._keeper: BackgroundTask | None = None
        self._others: int | None = None
        """How many sessions of others there were when the slots were filled last."""
        self.undo_text = "close the connections that fill the slots"
        self.asked: Mapping[str, Scalar] = {"free": self._fault.free, "slots": self._slots}

    def inject(self) -> Window:
        return timed(self._clock, self._take_slots)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Open as many as are free, and meet the refusal; who has just left may be counted once."""
        return first_proven(
            lambda: self._knock(checkpoint),
            checkpoint,
            between=lambda: self._clock.sleep_ns(_LOOK_NS),
        )

    def _knock(self, checkpoint: Checkpoint) -> Proof:
        opened: list[SqlSession] = []
        said, came = "", 0
        try:
            for _ in range(self._fault.free + 1):
                checkpoint()
                said = self._server.greets_with()
                if said:
                    came = self._came_since(len(opened))
                    break
                opened.append(self._server.open())
        except SqlError as error:
            # The last slot may go to somebody else between the greeting and the login.
            said = error.code or str(error)
        finally:
            for session in opened:
                session.close()
        return Proof(
            proven=said == _NO_SLOT
            and len(self._held) > 0
            and self._fault.free - came <= len(opened) <= self._fault.free,
            measured={
                "held": len(self._held),
                "admitted": len(opened),
                "taken_by_others": came,
                "refused_with": said or "nothing",
            },
        )

    def is_active(self) -> Proof:
        """Every session that fills a slot lives, and whoever keeps the slots filled does, too."""
        kept = self._keeper is not None and self._keeper.alive()
        with self._lock:
            held = len(self._held)
            if not held:
                return Proof(proven=False, measured={"held": held, "kept_filled": kept})
            ((_, busy, ours),) = self._held[0].rows(_COUNT, _HOLDER, limit_s=LOOK_LIMIT_S)
        return Proof(
            proven=kept and int(str(ours)) == held,
            measured={"held": int(str(ours)), "connected": int(str(busy)), "kept_filled": kept},
        )

    def undo(self) -> Window:
        return timed(self._clock, self._give_back)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Nothing of ours holds a slot, and a new client is let in."""
        left = busy = self._slots
        trouble = ""

        def freed() -> bool:
            nonlocal left, busy, trouble
            try:
                ((_, all_of_them, ours),) = self._server.rows(_COUNT, _HOLDER)
            except SqlError as error:
                trouble = str(error)
                return False
            left, busy, trouble = int(str(ours)), int(str(all_of_them)), ""
            return left == 0

        gone = until(self._clock, freed, _END_LIMIT_NS, checkpoint)
        measured: dict[str, Scalar] = {"held_after": left, "connected_after": busy}
        if trouble:
            measured["error"] = trouble
        if not gone:
            return Proof(proven=False, measured=measured)
        answer = answers_again(self._service, checkpoint)
        return Proof(proven=answer.proven, measured={**measured, **answer.measured})

    def _take_slots(self) -> None:
        self._held.append(self._server.open(_HOLDER))
        self._fill()
        self._keeper = self._clock.in_background(self._keep(), _HOLDER)

    def _give_back(self) -> None:
        self._over = True
        if self._keeper is not None:
            self._keeper.end(_JOIN_LIMIT_NS)
        with self._lock:
            for session in self._held:
                session.close()
            self._held.clear()

    def _fill(self) -> None:
        """Open sessions until no more than `free` slots are left."""
        with self._lock:
            slots, busy, ours = self._counted()
            spare = slots - busy - self._fault.free
            if spare > 0 or self._others is None:
                self._others = busy - ours + min(0, spare)
            for _ in range(spare):
                if self._over:
                    return
                try:
                    self._held.append(self._server.open(_HOLDER))
                except SqlError:
                    return  # somebody was faster, or a count is behind: the proof judges

    def _came_since(self, probes: int) -> int:
        """Return how many more of others there are than when the slots were filled."""
        with self._lock:
            if not self._held or self._others is None:
                return 0
            _, busy, ours = self._counted()
            return max(0, busy - ours - probes - self._others)

    def _counted(self) -> tuple[int, int, int]:
        """Return the slots, those that are taken, and those that are taken by this fault."""
        ((slots, busy, ours),) = self._held[0].rows(_COUNT, _HOLDER)
        return int(str(slots)), int(str(busy)), int(str(ours))

    def _keep(self) -> Iterator[int]:
        while True:
            yield self._clock.now_ns() + _LOOK_NS
            try:
                self._fill()
            except SqlError:
                return  # the server ended these sessions; what is left of them is seen by it alone
