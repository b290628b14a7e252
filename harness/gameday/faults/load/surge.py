"""Surge: a service gets a multiple of its load."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Bears, Conflicts, Injection, Proof
from gameday.api.service_kind import speaks_http
from gameday.api.workload import Workload, surge_of
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed, until
from gameday.load.load import LoadDriver, StreamPlan
from gameday.load.reader import LiveView
from gameday.model.clock import MILLISECOND, MINUTE, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.history import ROW_DTYPE, Rows
from gameday.model.invalid_parameter import require
from gameday.model.operation import Outcome
from gameday.model.result import Window
from gameday.model.scenario import CLIENT, Edge, Hits, WorkloadSpec
from gameday.model.units import RatePerS
from gameday.registry import workload_to

__all__ = ["Surge", "surges"]

_STREAM = "surge"
_LONGEST_NS = 10 * MINUTE
_MOST_PER_S = 20_000.0
_MOST_FACTOR = 100.0
_BEGINS_IN_NS = 20 * MILLISECOND
_DEADLINE_NS = SECOND
_LOOK_NS = SECOND
_LOOK_LIMIT_NS = 3 * SECOND
_OFFERED_SHARE = 0.9
_MOST_SHARE = 1.1
_SATURATED_SHARE = 0.1
_CALM_NS = 200 * MILLISECOND
_POOL = 1000
"""How many connections it opens at most: with all busy, nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """A service gets extra load of the same kind as the workload.

    Mechanism, both environments: a second load driver, a process of its own with an open loop,
    sends through the front of `client -> service`. Its signals are told by their checksum and are
    no part of what is measured or accounted for. Proof: in a second, the extra rate is sent within
    10 % and one operation; or all 1000 connections wait for an answer (`saturated`), with at least
    a tenth of the extra rate sent. Some was answered.
    Undo: the driver has ended, nothing more is sent, and the service answers. A surge ends by
    itself after 10 min.
    """

    verb: ClassVar[str] = "surge"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = Conflicts(leaves_service_alone=True)
    target: str
    """The service that the workload goes to."""
    factor: float | None = None
    """The total load, as a multiple of the workload's rate: above 1, at most 100."""
    rate_per_s: RatePerS | None = None
    """The extra operations, instead of a factor: at most 20000/s."""

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.rate_per_s is None):
            given = "neither is" if self.factor is None else "both are"
            raise ValueError(f"a surge has either a factor or a rate; {given} given")
        factor, rate_per_s = self.factor, self.rate_per_s
        require(
            ("factor", factor is None or 1 < factor <= _MOST_FACTOR, "above 1, at most 100"),
            ("rate", rate_per_s is None or rate_per_s <= _MOST_PER_S, "at most 20000/s"),
        )

    def bind_to_workload(self, workload: WorkloadSpec) -> Self:
        """Return the surge with its rate, as a multiple of that of `workload`."""
        if self.factor is None:
            return self
        rate_per_s = cast(Workload, workload).rate_per_s
        extra = (self.factor - 1) * rate_per_s
        wanted = f"less: beside {rate_per_s:g}/s this is {extra:g}/s, and 20000/s are the most"
        require(("factor", extra <= _MOST_PER_S, wanted))
        return replace(self, factor=None, rate_per_s=extra)

    def on(self, environment: Environment) -> Injection:
        if self.rate_per_s is None:
            raise EnvironmentRefused(f"{self.verb} of {self.target}: no workload to multiply")
        workload = workload_to(environment.service(self.target).spec.kind)
        if workload is None:
            raise EnvironmentRefused(f"{self.verb} of {self.target}: nothing makes load for it")
        front = environment.proxied(Edge(client=CLIENT, service=self.target))
        folder = environment.scratch()
        driver = LoadDriver(
            [
                StreamPlan(
                    name=_STREAM,
                    client=workload.verb,
                    host=front.host,
                    port=front.port,
                    rate_per_s=self.rate_per_s,
                    deadline_ns=_DEADLINE_NS,
                    connections=_POOL,
                )
            ],
            folder,
            surge_of(environment.run),
            _LONGEST_NS,
            folder / "driver.log",
        )
        service = environment.service(self.target)
        return _Surging(environment.clock, service, driver, folder, self.rate_per_s)


def surges(rate_per_s: float, *, sent_per_s: float, answered_per_s: float, saturated: bool) -> bool:
    """Tell whether a second is one of a surge of that rate.

    With every connection waiting the service gets what it takes, and not what was asked for.
    """
    least = _SATURATED_SHARE if saturated else _OFFERED_SHARE
    most = _MOST_SHARE * rate_per_s + 1
    return answered_per_s > 0 and least * rate_per_s <= sent_per_s <= most


class _Surging:
    """One surge: what its own history says was sent and answered."""

    def __init__(
        self, clock: Clock, service: Service, driver: LoadDriver, folder: Path, rate_per_s: float
    ) -> None:
        self._clock = clock
        self._service = service
        self._driver = driver
        self._folder = folder
        self._rate_per_s = rate_per_s
        self._began_ns: int | None = None
        self._view: LiveView | None = None
        self.undo_text = f"end the second load driver, which sends to {self._service.spec.name}"
        self.asked: Mapping[str, Scalar] = {"extra_per_s": self._rate_per_s}

    def inject(self) -> Window:
        self._driver.start()
        self._view = LiveView(self._folder)
        called_ns = self._clock.now_ns()
        self._began_ns = called_ns + _BEGINS_IN_NS
        self._driver.begin(self._began_ns)
        return Window(start_ns=called_ns, end_ns=self._began_ns)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Look at the first second of it that sends as much as was asked for."""
        seen: dict[str, Scalar] = {"sent_per_s": 0.0, "answered_per_s": 0.0, "saturated": False}

        def seen_to_surge() -> bool:
            seen.update(self._last_second())
            return surges(
                self._rate_per_s,
                sent_per_s=float(str(seen["sent_per_s"])),
                answered_per_s=float(str(seen["answered_per_s"])),
                saturated=seen["saturated"] is True,
            )

        proven = until(self._clock, seen_to_surge, _LOOK_LIMIT_NS, checkpoint)
        return Proof(proven=proven, measured=seen)

    def is_active(self) -> Proof:
        """The driver lives; how much it sends is up to the service, too."""
        self._driver.poll()
        return Proof(proven=True, measured=self._last_second())

    def undo(self) -> Window:
        return timed(self._clock, self._driver.kill)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Nothing more is sent, and the service answers."""
        rows = self._rows()
        self._clock.sleep_ns(_CALM_NS)
        more = len(self._rows()) - len(rows)
        if self._view is not None:
            self._view.close()
            self._view = None
        answer = answers_again(self._service, checkpoint)
        outcomes = {
            f"{outcome.name.lower()}_operations": int(np.count_nonzero(rows["outcome"] == outcome))
            for outcome in (Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN)
        }
        return Proof(
            proven=more == 0 and answer.proven,
            measured={**outcomes, "sent_after_operations": more, **answer.measured},
        )

    def _last_second(self) -> Mapping[str, Scalar]:
        """Return what was sent and answered in the last second, once there is a whole one."""
        until_ns = self._clock.now_ns()
        since_ns = until_ns - _LOOK_NS
        if self._began_ns is None or since_ns < self._began_ns:
            return {}
        rows = self._rows(since_ns - _DEADLINE_NS)
        sent = (rows["sent_ns"] >= since_ns) & (rows["sent_ns"] < until_ns)
        answered = (rows["done_ns"] >= since_ns) & (rows["outcome"] != Outcome.PENDING)
        waiting = (rows["sent_ns"] > 0) & (rows["outcome"] == Outcome.PENDING)
        return {
            "sent_per_s": float(np.count_nonzero(sent)),
            "answered_per_s": float(np.count_nonzero(answered & (rows["sent_ns"] > 0))),
            "saturated": bool(np.count_nonzero(waiting) >= _POOL),
        }

    def _rows(self, since_ns: int = 0) -> Rows:
        """Return what came due after that moment; an operation is over at its deadline."""
        if self._view is None:
            return np.empty(0, ROW_DTYPE)
        return self._view.since(since_ns, _STREAM)
