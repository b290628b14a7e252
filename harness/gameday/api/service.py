"""What may be asked of one service of a run, wherever it lives."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.clocks import Reading
from gameday.api.descriptors import Descriptors
from gameday.api.signals import Dispositions
from gameday.api.throttling import DiskBounds
from gameday.api.witness import FreezeWitness
from gameday.errors import EnvironmentRefused, GamedayError
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec

__all__ = [
    "ROOT",
    "Checkpoint",
    "ChildProcess",
    "Endpoint",
    "FreezerState",
    "NotReadyError",
    "ProcessState",
    "Ran",
    "Service",
]

Checkpoint = Callable[[], None]
"""Called between the steps of everything that takes long; raises when the run shall stop."""

ROOT = "0:0"
"""The user that may do anything inside a service."""

FreezerState = Literal["running", "partly frozen", "frozen"]
"""Whether the processes of a service run."""


class NotReadyError(GamedayError):
    """A service does not answer by its own protocol yet; the text says what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address on this host."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """Whether a service's main process lives, and which one it is."""

    alive: bool
    pid: int
    started: str
    """When this start of the service was, in the words of its environment; differs every start."""
    exit_code: int | None
    """As a shell would say it: 128 + signal for a death by signal. None while it lives."""

    @property
    def start(self) -> tuple[str, int]:
        """Which start of the service this is: two may fall into one tick of the clock."""
        return self.started, self.pid

    def as_evidence(self) -> Mapping[str, Scalar]:
        """Return these facts as the journal keeps them."""
        return {
            "alive": self.alive,
            "pid": self.pid,
            "started": self.started,
            "exit_code": self.exit_code,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildProcess:
    """One process of a service other than its main process."""

    pid: int
    """As this host numbers it."""
    started: float
    """Tells it from another process that gets the same number later."""
    command: str
    """Its whole command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that came to its end."""

    code: int
    output: str
    """What it wrote to both of its outputs."""


class Service(Protocol):
    """One running service of the target: what can be read of it, and what can be done to it.

    What a service cannot do it refuses, by EnvironmentRefused; so does all that is not overridden
    here. Every call is bounded in time, and those that return a Window return the bracket of what
    was done.
    """

    spec: ServiceSpec
    upstream: Endpoint
    """The address without a proxy, from this host; it survives a restart."""
    end_signal: signal.Signals
    """What asks this kind of service to end without waiting for its clients."""

    # Whether it answers.

    def check(self) -> str:
        """Return evidence that the service answers on its direct path, with a write if it can.

        Raises NotReadyError.
        """
        ...

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        """Return the evidence of `check` once it holds; EnvironmentRefused after `limit_ns`."""
        ...

    # Its main process: its end, and a new start with the data that it left.

    def process_state(self) -> ProcessState: ...

    def kill(self, number: signal.Signals) -> Window:
        """Send the signal to the main process."""
        ...

    def start_again(self) -> Window:
        """Start the service with the data that it left; does nothing while it lives."""
        ...

    def signals(self) -> Dispositions:
        """Read what the kernel says that the main process does about signals."""
        raise self._refused("the signals of its main process cannot be read")

    def stranger(self) -> str | None:
        """Return who listens on its port and is not the service, in words; empty: nobody.

        None: nobody else could, or that cannot be seen.
        """
        return None

    # Its other processes.

    def child_processes(self) -> tuple[ChildProcess, ...]:
        """Return every living process of the service but the main one."""
        raise self._refused("its processes cannot be told apart")

    def kill_child_processes(
        self, child_processes: tuple[ChildProcess, ...], number: signal.Signals
    ) -> Window:
        """Signal those that still live."""
        raise self._refused("its processes cannot be told apart")

    def run_inside(self, command: Sequence[str], limit_ns: int, *, user: str = "") -> Ran:
        """Run a command with the files and limits of the service, to its end, as its user.

        `user` is another one, such as ROOT: in process that is who runs the harness. Refused if it
        cannot be started or takes longer than `limit_ns`.
        """
        raise self._refused(f"{command[0]} cannot be run in it")

    # Frozen, every process of it, to go on from where it was.

    def freezer_state(self) -> FreezerState:
        """Read from the host whether its processes run; a dead service is "running"."""
        raise self._refused("it cannot be frozen")

    def freeze(self) -> Window:
        raise self._refused("it cannot be frozen")

    def thaw(self) -> Window:
        """Let every process run, whether or not it is frozen."""
        raise self._refused("it cannot be frozen")

    def watch_freeze(self) -> FreezeWitness | None:
        """Return who watches from now on that it stays frozen; None: it cannot be watched."""
        return None

    # Removed with what it consists of, until `start_again` makes it anew.

    def parts(self) -> frozenset[str]:
        """Return what the service consists of now: its body, and what holds its data."""
        raise self._refused("it cannot be removed")

    def left(self, parts: frozenset[str]) -> frozenset[str]:
        """Return which of these parts still exist."""
        raise self._refused("it cannot be removed")

    def remove(self, *, keep_data: bool) -> Window:
        """Remove the service at once; refused before anything if that cannot be."""
        raise self._refused("it cannot be removed")

    def plant(self, marker: str) -> bool:
        """Store `marker` among the service's data; False if nobody knows how to, for its kind."""
        return False

    def finds(self, marker: str) -> bool:
        """Tell whether the service has `marker` among its data. Raises NotReadyError."""
        return False

    # Its data folder.

    @property
    def data_folder(self) -> str:
        """Where its data are, as its processes see it; refused if that is not known."""
        raise self._refused("its data are not at hand")

    @property
    def disk_bytes(self) -> int | None:
        """What its data folder can hold; None: as much as the host's disk."""
        return None

    def host_folder(self) -> Path | None:
        """Return its bounded data folder by a path of this host; None: it has none there."""
        return None

    def service_user(self) -> str:
        """Return who its living main process is, as "user:group" in numbers."""
        raise self._refused("its user cannot be read")

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        """Run a command where its data folder is, also while the service is dead.

        Refused if it cannot be started or takes longer than `limit_ns`.
        """
        raise self._refused("its data are not at hand")

    # Its own wall clock.

    @property
    def own_clock(self) -> bool:
        """Whether it was started with a clock that can be set."""
        return False

    def set_clock(self, offset_ns: int, rate: float) -> Window:
        """Let its clock be ahead by `offset_ns` from now on, and run at `rate`.

        Returns once all of the service's processes go by it. Also works while it is dead.
        """
        raise self._refused("it uses the clock of its host")

    def clock_setting(self) -> str:
        """Return what its clock goes by, as its processes find it; "" where nothing is set.

        Also works while it is dead.
        """
        raise self._refused("it uses the clock of its host")

    def read_clock(self) -> Reading:
        """Ask the service for its time, by its own protocol. Raises NotReadyError."""
        raise self._refused("it does not tell the time")

    # Its share of the host.

    def bounds(self, resource: Resource) -> Bounds:
        """Return what bounds one resource; refused where nothing can."""
        raise self._refused(f"nothing bounds its {resource}")

    def disk(self) -> DiskBounds:
        """Return what bounds its traffic with the disk of its data; refused where nothing can."""
        raise self._refused("nothing bounds its disk")

    def stressor(self, script: str, limit_ns: int, share: float = 1.0) -> Stressor:
        """Start a shell script beside the service, which ends by itself after `limit_ns`.

        Of a `share` below 1 it is stopped for the rest of every 100 ms.
        """
        raise self._refused("nothing can run beside it")

    def first_to_die(self, yes: bool) -> None:
        """Say whether memory that runs out shall cost this service before all others."""
        raise self._refused("nothing bounds its memory")

    # The files and connections of the process that takes its connections.

    def descriptors(self) -> Descriptors:
        """Read them from the kernel; refused where nobody may look."""
        raise self._refused("its open files cannot be seen")

    def limit_descriptors(self, of: Descriptors, soft: int) -> None:
        """Set the soft limit of that very process; does nothing if it has ended."""
        raise self._refused("its open files cannot be seen")

    def accepted_connections(self) -> int:
        """Return how many open connections to its port it has accepted, as the kernel lists them.

        Whatever the service says of them; refused where they cannot be read.
        """
        raise self._refused("its connections cannot be counted")

    def _refused(self, what: str) -> EnvironmentRefused:
        return EnvironmentRefused(f"{self.spec.name}: {what} here")
