"""Memory: less of it for a service, or used up beside it until somebody dies."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.bounds import Bounds
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Example, Injection, Proof, Requirements
from gameday.api.mechanism import Mechanism
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.limit import (
    LONGEST_NS,
    BoundInjection,
    ServiceScene,
    available_bytes,
    bounds_if_any,
    hold,
    scene_of,
)
from gameday.faults.recipes.termination import Termination
from gameday.faults.timing import until
from gameday.model.clock import MILLISECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import SizeBytes
from gameday.runtimes.mechanisms.cgroups import MEMORY
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE

__all__ = ["MemoryBurn", "MemoryLimit"]

_MIB = 1024 * 1024
_LEAST = 8 * _MIB
_MOST = 64 * 1024 * _MIB
_PIECE = 256 * _MIB
_SMALL_PIECE = 16 * _MIB
_BEYOND = 32 * _MIB
_OF_ITS_OWN = 2 * _MIB
"""What the shell, `dd` and whoever reads its pipe hold beside a block."""
_PROBE_LIMIT_NS = 10 * SECOND
_FILL_LIMIT_NS = 15 * SECOND
_OOM_LIMIT_NS = 20 * SECOND
_WORD_LIMIT_NS = 2 * SECOND
_LOOK_NS = MILLISECOND
_END_LIMIT_NS = 5 * SECOND


def allocating(size: int, piece: int, *, victim: bool) -> str:
    """Return a script that holds so many bytes until it is ended; `dd` holds one block of them.

    What it has read it cannot write: whoever reads the pipe only sleeps.
    """
    pieces = max(1, -(-size // piece))
    lasts_s = LONGEST_NS // SECOND
    chosen = "echo 1000 > /proc/self/oom_score_adj; " if victim else ""
    return (
        f"{chosen}i=0; while [ $i -lt {pieces} ]; do "
        f"dd if=/dev/zero bs={size // pieces} count=1 iflag=fullblock 2>/dev/null "
        f"| sleep {lasts_s} & i=$((i+1)); done; wait"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimit:
    """The memory of a service is limited, without swap.

    Mechanism: in docker the engine's limit, in process a control group of the run's own; where
    none can be made it is refused. A limit below what is in use now is refused, too. Proof: the
    kernel says that limit, and a guest beside the service that asks for 32 MiB more than is free
    is killed for want of memory, by the kernel's count, before the service is. Undo: the old limit
    is written back and read from the kernel.
    """

    verb: ClassVar[str] = "memory-limit"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its memory")
    example: ClassVar[Example] = Example(parameters={"limit_bytes": _LEAST})
    target: str
    """The service to squeeze."""
    limit_bytes: SizeBytes
    """8MiB to 64GiB, and more than the service uses."""

    def __post_init__(self) -> None:
        _within_bounds("limit", self.limit_bytes)

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(
            impossible=_unaffordable(self.limit_bytes + _BEYOND),
            mechanisms=(MEMORY if runtime == "process" else CONTAINERS_HERE,),
        )

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        _spare(self.limit_bytes + _BEYOND, f"{self.verb} of {self.target}")
        bounds = scene.service.bounds("memory")

        def put() -> None:
            used = bounds.usage()
            if self.limit_bytes <= used:
                raise EnvironmentRefused(
                    f"{self.verb} of {self.target}: {self.limit_bytes} bytes are wanted, "
                    f"and it uses {used} now"
                )
            hold(bounds, self.limit_bytes, f"{self.verb} of {self.target}, in bytes")

        return BoundInjection(
            scene,
            asked={"limit_bytes": self.limit_bytes},
            undo_text=f"give {self.target} back the memory that it might hold",
            put=put,
            effect=lambda checkpoint: self._effect(scene, bounds, checkpoint),
            bounds=bounds,
        )

    def _effect(self, scene: ServiceScene, bounds: Bounds, checkpoint: Checkpoint) -> Proof:
        used, before, now = bounds.usage(), bounds.denials(), bounds.limit()
        size = max(0, self.limit_bytes - used) + _BEYOND
        with scene.probing(allocating(size, size, victim=True), 1, _PROBE_LIMIT_NS) as (probe,):
            killed = until(
                scene.clock,
                lambda: bounds.denials() > before or probe.memory_bytes() > 0.98 * size,
                _PROBE_LIMIT_NS,
                checkpoint,
            )
            # Counted while the probe is there: it is ended afterwards, and dies of that.
            until(scene.clock, lambda: bounds.denials() > before, _WORD_LIMIT_NS, checkpoint)
            held = probe.memory_bytes()
            denied = bounds.denials() - before
        lives = scene.service.process_state().alive
        exact = now is not None and 0 <= self.limit_bytes - now < _MIB
        return Proof(
            proven=exact and killed and denied > 0 and lives,
            measured={
                "mechanism": bounds.mechanism,
                "limit_now_bytes": now,
                "used_bytes": used,
                "probe_wanted_bytes": size,
                "probe_held_bytes": held,
                "times_out_of_memory": denied,
                "alive": lives,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBurn:
    """Stressors beside a service, within its limits, hold memory, or use it up until it dies.

    They are run in the container by the engine, or as children of the harness in the groups of
    the service, and end by themselves after 10 min. Proof: they live and hold the size within 5 %,
    and 2 MiB at most of their own beside it; and, where a control group can be made, what the
    service's group or tree uses has risen by 90 % of it. With `until: oom`, which needs one, the
    service is given a limit of what it uses and that size, and is made the first to die when it is
    reached: proven by exit code 137 and the count of the kernel or the word of the engine that
    memory ran out; undone when no limit is left and a new start answers a write.
    """

    verb: ClassVar[str] = "memory-burn"
    hits: ClassVar[Hits] = "service"
    example: ClassVar[Example] = Example(parameters={"size_bytes": _LEAST}, decisive=("until",))
    target: str
    """The service to burn beside."""
    size_bytes: SizeBytes
    """8MiB to 64GiB, and less than the host can spare."""
    until: Literal["undone", "oom"] = "undone"
    """What ends it: the undo, or the death of the service."""

    def __post_init__(self) -> None:
        _within_bounds("size", self.size_bytes)

    @property
    def conflicts(self) -> Conflicts:
        """Return what it does to others, which depends on how it ends."""
        return Conflicts(acts_on="its memory", takes_process=self.until == "oom")

    def requirements(self, runtime: str) -> Requirements:
        wanted: tuple[Mechanism, ...] = (MEMORY,) if self.until == "oom" else ()
        return Requirements(
            impossible=_unaffordable(self.size_bytes),
            mechanisms=(CONTAINERS_HERE,) if runtime == "docker" else wanted,
        )

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        _spare(self.size_bytes, f"{self.verb} of {self.target}")
        if self.until == "oom":
            termination = Termination(scene.clock, scene.service)
            return _Exhaustion(self, scene, scene.service.bounds("memory"), termination)
        bounds = bounds_if_any(scene, "memory")
        # Read before anything is in, too: a rise is one above what there was.
        used = 0 if bounds is None else bounds.usage()

        def put() -> None:
            nonlocal used
            used = 0 if bounds is None else bounds.usage()
            most = None if bounds is None else bounds.limit()
            if most is not None and used + self.size_bytes > most:
                raise EnvironmentRefused(
                    f"{self.verb} of {self.target}: {self.size_bytes} bytes are wanted, it uses "
                    f"{used} now and may hold {most}; give it more by `memory:` in its target"
                )
            scene.start_stressors(allocating(self.size_bytes, _PIECE, victim=True))

        def held() -> int:
            return sum(stressor.memory_bytes() for stressor in scene.stressors)

        def holds() -> bool:
            most = 1.05 * self.size_bytes + _OF_ITS_OWN
            return scene.left() == 1 and 0.95 * self.size_bytes <= held() <= most

        def effect(checkpoint: Checkpoint) -> Proof:
            until(
                scene.clock,
                lambda: not scene.left() or held() >= self.size_bytes,
                _FILL_LIMIT_NS,
                checkpoint,
            )
            rise = None if bounds is None else bounds.usage() - used
            return Proof(
                proven=holds() and (rise is None or rise >= 0.9 * self.size_bytes),
                measured={"held_bytes": held(), "risen_bytes": rise, "guests": scene.left()},
            )

        return BoundInjection(
            scene,
            asked={"size_bytes": self.size_bytes, "until": self.until},
            undo_text=f"end what holds memory beside {self.target}",
            put=put,
            effect=effect,
            holds=holds,
        )


class _Exhaustion:
    """Memory taken until the service dies of it."""

    def __init__(
        self, fault: MemoryBurn, scene: ServiceScene, bounds: Bounds, termination: Termination
    ) -> None:
        self._fault = fault
        self._scene = scene
        self._bounds = bounds
        self._termination = termination
        self._chosen = False
        self._denials = bounds.denials()
        self._limiting = BoundInjection(
            scene,
            asked={"size_bytes": fault.size_bytes, "until": fault.until},
            undo_text=f"end what takes the memory of {fault.target} and start it again",
            put=self._put,
            effect=self._effect,
            bounds=bounds,
        )
        self.undo_text = self._limiting.undo_text
        self.asked: Mapping[str, Scalar] = self._limiting.asked

    def inject(self) -> Window:
        return self._limiting.inject()

    def prove(self, checkpoint: Checkpoint) -> Proof:
        return self._effect(checkpoint)

    def is_active(self) -> Proof:
        return self._termination.still_down()

    def lapse(self) -> str:
        return self._termination.lapse()

    def undo(self) -> Window:
        ended = self._limiting.undo()
        if self._chosen:
            # One that has outlived it is not to be the first to die of somebody else's hunger.
            with suppress(EnvironmentRefused):  # it has died, as it was to
                self._scene.service.first_to_die(False)
        started = self._termination.start_again()
        return Window(start_ns=ended.start_ns, end_ns=started.end_ns)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """No limit and no guest is left, and a new start answers."""
        started = self._termination.prove_new_start(checkpoint)
        if not started.proven:
            return started
        clean = self._limiting.prove_healed(checkpoint)
        return Proof(proven=clean.proven, measured={**started.measured, **clean.measured})

    def _put(self) -> None:
        self._chosen = True
        self._scene.service.first_to_die(True)
        limit = self._bounds.usage() + self._fault.size_bytes
        hold(self._bounds, limit, f"{self._fault.verb} of {self._fault.target}, in bytes")
        size = self._fault.size_bytes + _BEYOND
        self._scene.start_stressors(allocating(size, _SMALL_PIECE, victim=False))

    def _effect(self, checkpoint: Checkpoint) -> Proof:
        limit_ns = _OOM_LIMIT_NS if self._chosen else 0

        def denied() -> int:
            try:
                return self._bounds.denials() - self._denials
            except (EnvironmentRefused, OSError):
                return 0

        # Counted before the end, for with the service goes what it was counted in; and by a thread
        # of its own, for that takes less time than what is done at a checkpoint.
        clock = self._scene.clock
        with _watching(clock, denied) as most:
            process_state = self._termination.await_end(limit_ns, checkpoint)
            # The engine's word, where the count was missed, may be late.
            late_ns = _WORD_LIMIT_NS if self._termination.ended else 0
            until(clock, lambda: most() > 0, late_ns, checkpoint)
            times = most()
        return Proof(
            proven=self._termination.ended and process_state.exit_code == 137 and times > 0,
            measured={
                "mechanism": self._bounds.mechanism,
                "alive": process_state.alive,
                "exit_code": process_state.exit_code,
                "times_out_of_memory": times,
            },
        )


def _within_bounds(name: str, size: int) -> None:
    require((name, _LEAST <= size <= _MOST, "8MiB to 64GiB"))


@contextmanager
def _watching(clock: Clock, count: Callable[[], int]) -> Iterator[Callable[[], int]]:
    """Look at a count every millisecond meanwhile, and give what tells the most that it was."""
    most = count()

    def look() -> Iterator[int]:
        nonlocal most
        while True:
            yield clock.now_ns() + _LOOK_NS
            most = max(most, count())

    looking = clock.in_background(look(), "out of memory")
    try:
        yield lambda: most
    finally:
        looking.end(_END_LIMIT_NS)


def _spare(size: int, what: str) -> None:
    """Raise EnvironmentRefused for what would take the host down with the service."""
    why = _unaffordable(size)
    if why:
        raise EnvironmentRefused(f"{what}: {why}")


def _unaffordable(size: int) -> str:
    available = available_bytes()
    if not available or 2 * size <= available:
        return ""
    return (
        f"{size} bytes would be used, and the host has {available}; wanted is half of them at "
        "most, so that nobody else is hurt"
    )
