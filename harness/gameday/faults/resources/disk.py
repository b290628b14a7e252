"""The disk: a service reads and writes no faster than asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.api.throttling import DiskBounds
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.limit import ServiceScene, scene_of
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import attempted, rest, timed, undo_error, until
from gameday.model.clock import SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import BytesPerS
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE
from gameday.runtimes.mechanisms.throttling import THROTTLE_IN_DOCKER, THROTTLE_IN_PROCESS

__all__ = ["IoThrottle"]

_LEAST = 100_000
_MOST = 50_000_000
_PAGE = 4096
_LARGEST_BLOCK = 16 * _PAGE
_ATTEMPTS = 3
_SETTLE_NS = SECOND // 2
_START_LIMIT_NS = 10 * SECOND
_WINDOW_NS = 3 * SECOND
_REFERENCE_NS = SECOND
_FASTER_BEFORE = 1.5
_PROBE_LIMIT_NS = 30 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class IoThrottle:
    """The disk traffic of a service is throttled.

    Mechanism: the kernel's throttle of block devices, in docker in the container's own control
    group, in process in one of the run's own; both take root. With version 1 of control groups
    that slows down what goes straight to the device and what is synced, and not a write that the
    kernel keeps in memory and writes itself later. Where no group can be made it is refused.
    Proof: what a guest beside the service reads or writes past the page cache is the rate within
    20 % over 3 s, and until something moves again, counted by the kernel; in the second before the
    throttle came in, it was 1.5 times that at least. Undo: the old rates are written back and read
    again, and a write is answered.
    """

    verb: ClassVar[str] = "io-throttle"
    hits: ClassVar[Hits] = "service"
    example: ClassVar[Example] = Example(parameters={"write_bytes_per_s": _LEAST})
    target: str
    """The service to slow down."""
    read_bytes_per_s: BytesPerS = 0
    """100kB/s to 50MB/s; without it reads are not throttled."""
    write_bytes_per_s: BytesPerS = 0
    """100kB/s to 50MB/s; without it writes are not throttled."""

    def __post_init__(self) -> None:
        if not (self.read_bytes_per_s or self.write_bytes_per_s):
            raise ValueError("neither read nor write is given; at least one is wanted")
        rates = (("read", self.read_bytes_per_s), ("write", self.write_bytes_per_s))
        require(
            *(
                (name, not rate or _LEAST <= rate <= _MOST, "100kB/s to 50MB/s")
                for name, rate in rates
            )
        )

    def requirements(self, runtime: str) -> Requirements:
        if runtime == "docker":
            return Requirements(mechanisms=(CONTAINERS_HERE, THROTTLE_IN_DOCKER), hosts_disk=True)
        return Requirements(mechanisms=(THROTTLE_IN_PROCESS,), hosts_disk=True)

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        return _Throttling(self, scene, scene.service.disk())


class _Throttling:
    """One throttle, proven by what the kernel counts while a guest pushes."""

    def __init__(self, fault: IoThrottle, scene: ServiceScene, disk: DiskBounds) -> None:
        self._fault = fault
        self._scene = scene
        self._disk = disk
        self._wanted = (fault.read_bytes_per_s or None, fault.write_bytes_per_s or None)
        self._trouble = ""
        self._before: dict[int, float] = {}
        """How fast it was without the throttle, reading (0) and writing (1)."""
        self.undo_text = f"let {self._fault.target} read and write as fast as before"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        read, write = self._wanted
        return {"read_bytes_per_s": read, "write_bytes_per_s": write, "device": self._disk.device}

    def inject(self) -> Window:
        for number, rate in enumerate(self._wanted):
            if rate is not None:
                # A disk that is that slow anyway would pass for one that is slowed down.
                self._before[number] = self._rate(number, rate, _REFERENCE_NS, lambda: None)
        return timed(self._scene.clock, lambda: self._disk.hold(self._wanted))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        measured: dict[str, Scalar] = {"mechanism": self._disk.mechanism}
        proven = self._disk.rates() == self._wanted
        for number, name in enumerate(("read", "write")):
            rate = self._wanted[number]
            if rate is None:
                continue
            attempt, near = 0, False
            while not near and attempt < _ATTEMPTS:
                attempt += 1
                seen = self._rate(number, rate, _WINDOW_NS, checkpoint)
                near = abs(seen - rate) <= 0.2 * rate
            measured[f"{name}_bytes_per_s"] = round(seen)
            measured[f"{name}_attempts"] = attempt
            before = self._before.get(number, 0.0)
            measured[f"{name}_before_bytes_per_s"] = round(before)
            proven = proven and near and before >= _FASTER_BEFORE * rate
        return Proof(proven=proven, measured=measured)

    def is_active(self) -> Proof:
        read, write = self._disk.rates()
        return Proof(
            proven=(read, write) == self._wanted,
            measured={"read_bytes_per_s": read, "write_bytes_per_s": write},
        )

    def undo(self) -> Window:
        window, self._trouble = attempted(self._scene.clock, self._disk.release)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        measured = undo_error(self._trouble)
        try:
            left = self._disk.left()
            read, write = self._disk.rates()
        except (EnvironmentRefused, OSError) as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        answer = answers_again(self._scene.service, checkpoint)
        return Proof(
            proven=answer.proven and not left,
            measured={
                **measured,
                "left": left or "nothing",
                "read_after_bytes_per_s": read,
                "write_after_bytes_per_s": write,
                **answer.measured,
            },
        )

    def _rate(self, number: int, rate: int, window_ns: int, checkpoint: Checkpoint) -> float:
        """Return how fast the service and a guest that wants more read or write together."""
        script = _reading if number == 0 else _writing
        idle = self._disk.moved()[number]
        clock = self._scene.clock
        with self._scene.probing(script(self._disk.folder, rate), 1, _PROBE_LIMIT_NS):
            # What is to be read is written first, and that may be throttled, too.
            until(clock, lambda: self._disk.moved()[number] > idle, _START_LIMIT_NS, checkpoint)
            rest(clock, _SETTLE_NS, checkpoint)
            began_ns, before = self._next_move(number, checkpoint)
            rest(clock, window_ns, checkpoint)
            ended_ns, after = self._next_move(number, checkpoint)
        return (after - before) * SECOND / (ended_ns - began_ns)

    def _next_move(self, number: int, checkpoint: Checkpoint) -> tuple[int, int]:
        """Return when something moved next, and what had moved before.

        A throttle may let a burst through and make it wait afterwards. From one move to another
        every burst counts together with its wait.
        """
        before = self._disk.moved()[number]
        clock = self._scene.clock
        until(clock, lambda: self._disk.moved()[number] > before, _START_LIMIT_NS, checkpoint)
        return clock.now_ns(), before


def _blocks(rate: int) -> tuple[int, int]:
    """Return size and number of the blocks of some second's worth."""
    size = min(_LARGEST_BLOCK, max(_PAGE, rate // 50 // _PAGE * _PAGE))
    return size, max(4, rate // size)


def _writing(folder: str, rate: int) -> str:
    """Write past the page cache, without end, to a file that has no name any more."""
    size, count = _blocks(rate)
    return (
        f"exec 3<>'{folder}/gameday-probe' && rm '{folder}/gameday-probe' && "
        f"while dd if=/dev/zero of=/proc/self/fd/3 bs={size} count={count} oflag=direct "
        "conv=notrunc 2>/dev/null; do :; done"
    )


def _reading(folder: str, rate: int) -> str:
    """Read past the page cache, without end, from such a file; what is there must be written."""
    size, _ = _blocks(rate)
    return (
        f"exec 3<>'{folder}/gameday-probe' && rm '{folder}/gameday-probe' && "
        "dd if=/dev/zero of=/proc/self/fd/3 bs=64k count=4 conv=notrunc,fsync 2>/dev/null && "
        f"while dd if=/proc/self/fd/3 of=/dev/null bs={size} iflag=direct 2>/dev/null; do :; done"
    )
