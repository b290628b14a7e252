"""One resource fault on one service, from before it is in until it is proven gone."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import attempted, first_proven, rest, timed, undo_error
from gameday.model.clock import SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window

__all__ = [
    "BURN",
    "LONGEST_NS",
    "BoundInjection",
    "ServiceScene",
    "available_bytes",
    "hold",
    "idle_ns",
    "scene_of",
]

BURN = "while :; do :; done"
LONGEST_NS = 600 * SECOND
"""What uses something up ends by itself after that time, whoever is left to end it."""

Measure = Callable[[Checkpoint], Proof]


class ServiceScene:
    """A service, what bounds it, and the guests of a fault beside it."""

    def __init__(self, clock: Clock, service: Service) -> None:
        self.clock = clock
        self.service = service
        self.stressors: list[Stressor] = []
        """Those that are the fault; what only measures is ended when it has."""

    def start_stressors(self, script: str, share: float = 1.0) -> None:
        """Start a guest that stays until the fault is undone."""
        self.stressors.append(self.service.stressor(script, LONGEST_NS, share))

    def dismiss(self) -> None:
        """End every guest of the fault."""
        for stressor in self.stressors:
            stressor.end()

    @contextmanager
    def probing(self, script: str, count: int, limit_ns: int) -> Iterator[tuple[Stressor, ...]]:
        """Have guests that measure, and end them."""
        probes: list[Stressor] = []
        try:
            for _ in range(count):
                probes.append(self.service.stressor(script, limit_ns))  # noqa: PERF401 - each is owed an end
            yield tuple(probes)
        finally:
            for probe in probes:
                probe.end()

    def left(self) -> int:
        """Return how many guests of the fault still live."""
        return sum(stressor.alive() for stressor in self.stressors)


def scene_of(environment: Environment, target: str, verb: str) -> ServiceScene:
    """Return the scene of a service; EnvironmentRefused if nobody can bound it there."""
    service = environment.service(target)
    return ServiceScene(environment.clock, service)


def hold(bounds: Bounds, limit: int, what: str) -> None:
    """Set a limit; EnvironmentRefused if a narrower one is there already."""
    before = bounds.limit()
    if before is not None and before <= limit:
        raise EnvironmentRefused(f"{what}: {limit} is wanted, and {before} is the limit already")
    bounds.hold(limit)


def cores_used(
    clock: Clock, used_ns: Callable[[], int], window_ns: int, checkpoint: Checkpoint
) -> tuple[float, int]:
    """Return how many cores are used on average, and how long that was looked at."""
    began_ns, before_ns = clock.now_ns(), used_ns()
    rest(clock, window_ns, checkpoint)
    after_ns, ended_ns = used_ns(), clock.now_ns()
    return (after_ns - before_ns) / (ended_ns - began_ns), ended_ns - began_ns


def idle_ns() -> int:
    """Return how long the cores of this host have had nothing to do, added up."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return (int(words[4]) + int(words[5])) * SECOND // os.sysconf("SC_CLK_TCK")


def available_bytes() -> int:
    """Return how much memory this host could give; 0 where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    sizes = {line.split(":")[0]: line.split()[1] for line in lines}
    return int(sizes.get("MemAvailable", "0")) * 1024


class BoundInjection:
    """A limit or a user of something, proven by what the kernel counts.

    A busy host can spoil one measurement, so three are tried; a fault that does nothing spoils
    all of them.
    """

    def __init__(
        self,
        scene: ServiceScene,
        *,
        asked: Mapping[str, Scalar],
        undo_text: str,
        put: Callable[[], None],
        effect: Measure,
        bounds: Bounds | None = None,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        """`holds` tells whether the guests do what they are there for, beside being alive."""
        self._scene = scene
        self._asked = asked
        self._undo_text = undo_text
        self._put = put
        self._effect = effect
        self._bounds = bounds
        self._holds = holds
        self._limit: int | None = None
        """What the kernel said, once it was proven."""
        self._trouble = ""
        self.undo_text = self._undo_text
        self.asked: Mapping[str, Scalar] = self._asked

    def inject(self) -> Window:
        return timed(self._scene.clock, self._put)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        proof = first_proven(lambda: self._effect(checkpoint), checkpoint)
        if self._bounds is not None and proof.proven:
            self._limit = self._bounds.limit()
        return proof

    def is_active(self) -> Proof:
        """The kernel says the limit that it said, and every guest lives and does its part."""
        alive, holds = self._scene.left(), self._holds()
        measured: dict[str, Scalar] = {"guests": alive, "guests_hold": holds}
        same = True
        if self._bounds is not None:
            now = measured["limit"] = self._bounds.limit()
            same = now is not None and now == self._limit
        whole = alive == len(self._scene.stressors) and holds
        return Proof(proven=same and whole, measured=measured)

    def undo(self) -> Window:
        # The limit first: within a narrow one it may take long to end anything.
        release = () if self._bounds is None else (self._bounds.release,)
        window, self._trouble = attempted(self._scene.clock, *release, self._scene.dismiss)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """No guest lives, the old limit is read back from the kernel, and a write is answered."""
        measured: dict[str, Scalar] = {
            "guests_left": self._scene.left(),
            **undo_error(self._trouble),
        }
        left = ""
        if self._bounds is not None:
            try:
                left = self._bounds.left()
                measured["limit_after"] = self._bounds.limit()
            except (EnvironmentRefused, OSError) as error:
                return Proof(proven=False, measured={**measured, "error": str(error)})
            measured["left"] = left or "nothing"
        answer = answers_again(self._scene.service, checkpoint)
        return Proof(
            proven=answer.proven and not left and self._scene.left() == 0,
            measured={**measured, **answer.measured},
        )


def bounds_if_any(scene: ServiceScene, resource: Resource) -> Bounds | None:
    """Return what bounds a resource where anything can; what only uses it needs no bounds."""
    try:
        return scene.service.bounds(resource)
    except EnvironmentRefused:
        return None
