"""Processor time: less of it for a service, or used up beside it."""

import os
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.bounds import DUTY_CYCLE, Bounds
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Example, Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.limit import (
    BURN,
    BoundInjection,
    ServiceScene,
    bounds_if_any,
    cores_used,
    hold,
    idle_ns,
    scene_of,
)
from gameday.faults.timing import rest
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import RatioField
from gameday.runtimes.mechanisms.cgroups import CPU
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE

__all__ = ["CpuBurn", "CpuLimit"]

_LEAST_CORES = 0.01
_MOST_CORES = 512
_MOST_WORKERS = 64
_SETTLE_NS = 300 * MILLISECOND
_LIMIT_WINDOW_NS = 2 * SECOND
_FINE_WINDOW_NS = SECOND
_BURN_WINDOW_NS = 1500 * MILLISECOND
_PROBE_LIMIT_NS = 10 * SECOND
_MILLICORES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuLimit:
    """A service gets at most this many cores.

    Mechanism: in docker the engine's quota, in process a control group of the run's own; where
    none can be made, its processes are stopped for the rest of every 100 ms (duty cycle). Proof:
    while guests beside the service use all they can get, all together get the limit within 15 %
    or 0.002 cores over 2 s, and the kernel counts that they were throttled. They may get less
    where others leave no core idle; who does not come so far as to be throttled then has to be in
    the second in which the same quota is counted over 1 ms, or over what has 1 ms of it. In a
    duty cycle they get no more than that, and with what they wait for while they may run no less.
    Undo: the old quota is written back and read from the kernel, and a write is answered.
    """

    verb: ClassVar[str] = "cpu-limit"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its processor time")
    example: ClassVar[Example] = Example(parameters={"cores": _LEAST_CORES})
    target: str
    """The service to slow down."""
    cores: float
    """From 0.01 to less than the host has."""

    def __post_init__(self) -> None:
        fits = _LEAST_CORES <= self.cores <= _MOST_CORES
        require(("cores", fits, f"{_LEAST_CORES} to {_MOST_CORES}"))

    def requirements(self, runtime: str) -> Requirements:
        of = os.cpu_count() or 1
        nothing = f"{self.cores:g} of {of} cores limit nothing; write fewer"
        return Requirements(
            impossible=nothing if self.cores >= of else "",
            mechanisms=(CPU if runtime == "process" else CONTAINERS_HERE,),
        )

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        impossible = self.requirements(environment.runtime).impossible
        if impossible:
            raise EnvironmentRefused(f"{self.verb} of {self.target}: {impossible}")
        bounds = scene.service.bounds("cpu")
        limit = round(self.cores * _MILLICORES)

        return BoundInjection(
            scene,
            asked={"cores": self.cores},
            undo_text=f"give {self.target} back the cores that it had",
            put=lambda: hold(bounds, limit, f"{self.verb} of {self.target}, in millicores"),
            effect=lambda checkpoint: self._effect(scene, bounds, limit, checkpoint),
            bounds=bounds,
        )

    def _effect(
        self, scene: ServiceScene, bounds: Bounds, limit: int, checkpoint: Checkpoint
    ) -> Proof:
        before, finely = bounds.denials(), 0
        with scene.probing(BURN, limit // _MILLICORES + 1, _PROBE_LIMIT_NS) as probes:
            rest(scene.clock, _SETTLE_NS, checkpoint)
            waited_ns, idle_before_ns = sum(probe.waited_ns() for probe in probes), idle_ns()
            got, window_ns = cores_used(scene.clock, bounds.usage, _LIMIT_WINDOW_NS, checkpoint)
            idle = (idle_ns() - idle_before_ns) / window_ns
            waited = (sum(probe.waited_ns() for probe in probes) - waited_ns) / window_ns
            throttled = bounds.denials() - before
            now = bounds.limit()
            if now == limit and throttled == 0:
                with bounds.finely():
                    rest(scene.clock, _FINE_WINDOW_NS, checkpoint)
                    finely = bounds.denials() - before
        within = max(0.15 * self.cores, 0.002)
        if bounds.mechanism == DUTY_CYCLE:
            # Who only gets a share of the time has to share that with everybody else.
            enough = got + waited >= self.cores - within
        else:
            enough = got >= self.cores - within or idle <= within
        return Proof(
            proven=now == limit
            and enough
            and got <= self.cores + within
            and throttled + finely > 0,
            measured={
                "mechanism": bounds.mechanism,
                "limit_cores": None if now is None else now / _MILLICORES,
                "used_cores": round(got, 3),
                "waited_for_cores": round(waited, 3),
                "idle_cores": round(idle, 3),
                "times_throttled": throttled,
                "times_throttled_finely": finely,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuBurn:
    """Stressors beside a service, within its limits, use processor time.

    They are endless loops of a shell: run in the container by the engine, or as children of the
    harness in the groups of the service. Each ends by itself after 10 min. With a `load` below
    100% each is stopped for the rest of every 100 ms. Proof, by the kernel's count over 1.5 s:
    what they use and what they wait for, because others use it, is workers times load within
    15 %, and they use at least 20 % of it or of the cores that there are. Undone when none of
    them lives and a write is answered.
    """

    verb: ClassVar[str] = "cpu-burn"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its processor time")
    target: str
    """The service to burn beside."""
    workers: int = 1
    """1 to 64 loops."""
    load: RatioField = 1.0
    """How much of a core each loop uses, 5% to 100%."""

    def __post_init__(self) -> None:
        require(
            ("workers", 1 <= self.workers <= _MOST_WORKERS, f"1 to {_MOST_WORKERS}"),
            ("load", 0.05 <= self.load <= 1, "5% to 100%"),
        )

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(mechanisms=(CONTAINERS_HERE,) if runtime == "docker" else ())

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)

        def put() -> None:
            for _ in range(self.workers):
                scene.start_stressors(BURN, self.load)

        return BoundInjection(
            scene,
            asked={"workers": self.workers, "load_ratio": self.load},
            undo_text=f"end the {self.workers} loops beside {self.target}",
            put=put,
            effect=lambda checkpoint: self._effect(scene, checkpoint),
        )

    def _effect(self, scene: ServiceScene, checkpoint: Checkpoint) -> Proof:
        """Count what they get, and what they would have got if nobody else had been there."""
        rest(scene.clock, _SETTLE_NS, checkpoint)
        waited_ns = [stressor.waited_ns() for stressor in scene.stressors]
        got, window_ns = cores_used(
            scene.clock,
            lambda: sum(stressor.cpu_ns() for stressor in scene.stressors),
            _BURN_WINDOW_NS,
            checkpoint,
        )
        waited = (sum(g.waited_ns() for g in scene.stressors) - sum(waited_ns)) / window_ns
        bounds = bounds_if_any(scene, "cpu")
        limit = None if bounds is None else bounds.limit()
        wanted = self.workers * self.load
        if limit is None:
            enough = got + waited >= 0.85 * wanted and got >= 0.2 * min(wanted, os.cpu_count() or 1)
        else:
            # Who is throttled is not waiting.
            enough = got >= 0.75 * min(wanted, limit / _MILLICORES)
        return Proof(
            proven=scene.left() == self.workers and enough and got <= 1.1 * wanted,
            measured={
                "used_cores": round(got, 3),
                "waited_for_cores": round(waited, 3),
                "guests": scene.left(),
            },
        )
