"""A service in memory that can be bounded and has guests; each of its defects is a field."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gameday.api.bounds import Resource
from gameday.api.descriptors import Descriptors
from gameday.api.throttling import Rates
from gameday.errors import EnvironmentRefused
from gameday.model.clock import SECOND
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryService

__all__ = ["BoundedService", "FilingService", "MemoryBounds", "MemoryDisk", "MemoryStressor"]

_MIB = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class MemoryStressor:
    """A guest that uses and holds what it is told to, until it is ended."""

    house: "BoundedService"
    share: float
    ends: bool = True
    living: bool = True

    def alive(self) -> bool:
        return self.living

    def cpu_ns(self) -> int:
        return round(self.house.gets * self.share * self.house.clock.now_ns())

    def waited_ns(self) -> int:
        return round(self.house.waits * self.share * self.house.clock.now_ns())

    def memory_bytes(self) -> int:
        return self.house.stressor_holds if self.living else 0

    def end(self) -> None:
        self.living = not self.ends


@dataclass(slots=True, kw_only=True)
class MemoryBounds:
    """One limit, with what the kernel would count."""

    house: "BoundedService"
    resource: Resource
    before: int | None = None
    now: int | None = None
    used: int = 10 * _MIB
    sets: bool = True
    gives_back: bool = True
    refuses_release: bool = False
    bites: bool = True
    rate: float = 0.0
    """How many cores are used, of cpu."""
    reached: bool = True
    """Whether anybody comes so far as to feel the limit when it is not counted finely."""
    fine: bool = False
    failures: int = 0
    mechanism: str = "memory"

    def limit(self) -> int | None:
        return self.now

    def usage(self) -> int:
        if self.resource == "cpu":
            return round(self.rate * self.house.clock.now_ns())
        held = sum(stressor.memory_bytes() for stressor in self.house.stressors)
        if self.resource == "pids" and self.house.probing and self.now is not None:
            return self.now if self.bites else self.now - 1
        return self.used + held

    def denials(self) -> int:
        felt = self.bites and (self.reached or self.fine)
        self.failures += felt and self.now is not None and self.house.probing
        return self.failures

    def hold(self, limit: int) -> None:
        if self.sets:
            self.now = limit
            if self.resource == "memory" and self.house.dies_of_want:
                self.house.kill(signal.SIGKILL)
                self.failures += self.bites

    @contextmanager
    def finely(self) -> Iterator[None]:
        self.fine = True
        yield
        self.fine = False

    def release(self) -> None:
        if self.refuses_release:
            raise EnvironmentRefused("it may not be given back")
        if self.gives_back:
            self.now = self.before

    def left(self) -> str:
        return "" if self.now == self.before else f"the limit is {self.now}"


@dataclass(slots=True, kw_only=True)
class BoundedService(MemoryService):
    """A service with bounds; only guests that live probe them."""

    stressors: list[MemoryStressor] = field(default_factory=list)
    stressor_holds: int = 0
    gets: float = 1.0
    waits: float = 0.0
    stressors_end: bool = True
    dies_of_want: bool = False
    chosen: bool = False
    kept: dict[Resource, MemoryBounds] = field(default_factory=dict)

    @property
    def probing(self) -> bool:
        return any(stressor.living for stressor in self.stressors)

    def bounds(self, resource: Resource) -> MemoryBounds:
        return self.kept.setdefault(resource, MemoryBounds(house=self, resource=resource))

    def stressor(self, script: str, limit_ns: int, share: float = 1.0) -> MemoryStressor:
        stressor = MemoryStressor(house=self, share=share, ends=self.stressors_end)
        self.stressors.append(stressor)
        return stressor

    def first_to_die(self, yes: bool) -> None:
        self.chosen = yes


@dataclass(slots=True, kw_only=True)
class MemoryDisk:
    """A disk that moves as much as it is allowed to, or as it likes."""

    clock: ManualClock
    sets: bool = True
    gives_back: bool = True
    pace: float = 1.0
    """How much of the allowed rate is moved."""
    own_rate: float = 1e9
    """How much is moved where no rate is set."""
    now: Rates = (None, None)
    mechanism: str = "memory"
    device: str = "1:0"
    folder: str = "/data"

    def rates(self) -> Rates:
        return self.now

    def moved(self) -> tuple[int, int]:
        read, write = (self.pace * (rate or self.own_rate) for rate in self.now)
        ns = self.clock.now_ns()
        return round(read * ns / SECOND), round(write * ns / SECOND)

    def hold(self, rates: Rates) -> None:
        if self.sets:
            self.now = rates

    def release(self) -> None:
        if self.gives_back:
            self.now = (None, None)

    def left(self) -> str:
        return "" if self.now == (None, None) else f"the rates are {self.now}"


@dataclass(slots=True, kw_only=True)
class FilingService(BoundedService):
    """A service with a disk and with open files; each of its defects is a field."""

    drive: MemoryDisk
    obeys: bool = True
    """Whether a limit of open files is set when that is asked for."""
    restores: bool = True
    soft: int = 1000
    opened: frozenset[int] = frozenset({0, 1, 2, 5})
    taking: int = 0
    """How many numbers connections take as soon as the limit is there."""
    serves_beyond: bool = False

    def disk(self) -> MemoryDisk:
        return self.drive

    def descriptors(self) -> Descriptors:
        taken = {n for n in range(self.soft) if n not in self.opened}
        some = frozenset(sorted(taken)[: self.taking])
        return Descriptors(pid=100, started=1.0, open=self.opened | some, soft=self.soft)

    def limit_descriptors(self, of: Descriptors, soft: int) -> None:
        if self.obeys if soft < of.soft else self.restores:
            self.soft = soft
            self.taking = 500 if soft < of.soft else 0
            self.answers = self.serves_beyond or soft >= of.soft
