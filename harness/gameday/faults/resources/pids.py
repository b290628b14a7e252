"""Processes and threads: only so many more for a service."""

from dataclasses import dataclass
from typing import ClassVar

from gameday.api.bounds import Bounds
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.faults.recipes.limit import BoundInjection, ServiceScene, hold, scene_of
from gameday.faults.timing import until
from gameday.model.clock import SECOND
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.runtimes.mechanisms.cgroups import PIDS
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE

__all__ = ["PidsLimit"]

_LEAST = 8
_MOST = 200
_MORE = 8
_FORK_LIMIT_NS = 5 * SECOND
_PROBE_LIMIT_NS = 10 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class PidsLimit:
    """A service can start only this many more processes and threads.

    Mechanism: in docker the engine's limit, in process a control group of the run's own; where
    none can be made it is refused. Proof: a guest beside the service forks until it cannot; the
    kernel counts that failure, and as many tasks are there then as the limit says. For that moment
    nothing else can fork there either. Undo: the old limit is written back and read from the
    kernel, and a write is answered.
    """

    verb: ClassVar[str] = "pids-limit"
    hits: ClassVar[Hits] = "service"
    example: ClassVar[Example] = Example(parameters={"free": _LEAST})
    target: str
    """The service to keep from forking."""
    free: int
    """8 to 200 more than there are at the injection."""

    def __post_init__(self) -> None:
        # Fewer, and the engine could not even start what is to prove it.
        require(("free", _LEAST <= self.free <= _MOST, f"{_LEAST} to {_MOST}"))

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(mechanisms=(PIDS if runtime == "process" else CONTAINERS_HERE,))

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        bounds = scene.service.bounds("pids")
        held: list[int] = []

        def put() -> None:
            limit = bounds.usage() + self.free
            held.append(limit)
            hold(bounds, limit, f"{self.verb} of {self.target}")

        return BoundInjection(
            scene,
            asked={"free": self.free},
            undo_text=f"give {self.target} back the processes that it might have",
            put=put,
            effect=lambda checkpoint: self._effect(
                scene, bounds, held[-1] if held else None, checkpoint
            ),
            bounds=bounds,
        )

    def _effect(
        self, scene: ServiceScene, bounds: Bounds, limit: int | None, checkpoint: Checkpoint
    ) -> Proof:
        before, failed, most = bounds.usage(), bounds.denials(), 0

        def full() -> bool:
            nonlocal most
            most = max(most, bounds.usage())
            return bounds.denials() > failed or most > before + self.free + _MORE

        # A shell that cannot fork ends; before that it waits here, so that the number stays.
        script = (
            "trap wait EXIT; i=0; "
            f"while [ $i -lt {self.free + _MORE} ]; do sleep 3 & i=$((i+1)); done"
        )
        with scene.probing(script, 1, _PROBE_LIMIT_NS):
            could_not = until(scene.clock, full, _FORK_LIMIT_NS, checkpoint)
            most = max(most, bounds.usage())
        gone = until(scene.clock, lambda: bounds.usage() <= before, _FORK_LIMIT_NS, checkpoint)
        now = bounds.limit()
        return Proof(
            proven=could_not
            and bounds.denials() > failed
            and limit is not None
            and now == limit
            and most == limit,
            measured={
                "mechanism": bounds.mechanism,
                "limit_now": now,
                "before": before,
                "most": most,
                "forks_failed": bounds.denials() - failed,
                "probe_gone": gone,
            },
        )
