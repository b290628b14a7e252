"""What a run can ask of its environment, in either runtime."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from gameday.errors import GamedayError
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Edge, ServiceSpec, Target

__all__ = [
    "ROOT",
    "CanExec",
    "Checkpoint",
    "ChildProcess",
    "Emit",
    "Endpoint",
    "Environment",
    "EnvironmentConfig",
    "Features",
    "FreezerState",
    "HasChildProcesses",
    "Killable",
    "NotReadyError",
    "Pausable",
    "ProcessState",
    "Ran",
    "Removable",
    "Service",
]

Checkpoint = Callable[[], None]
"""Called between the steps of everything that takes long; raises when the run shall stop."""

ROOT = "0:0"
"""The user that may do anything inside a service."""

FreezerState = Literal["running", "partly frozen", "frozen"]
"""Whether the processes of a service run."""

Emit = Callable[[str, int, str], None]
"""Told of every service that is up: its name, how long that took in ns, and the evidence."""


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
class Features:
    """What an environment must provide from the start so that a fault can act later."""

    own_proxy: bool = False
    """gameday's own proxy: the fault needs something that Toxiproxy has not."""
    http: frozenset[Edge] = frozenset()
    """The edges whose proxy must understand HTTP."""
    clocks: frozenset[str] = frozenset()
    """The services whose clock must be one that can be set."""

    def __or__(self, other: "Features") -> "Features":
        return Features(
            own_proxy=self.own_proxy or other.own_proxy,
            http=self.http | other.http,
            clocks=self.clocks | other.clocks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentConfig:
    """What an environment is given: whose run it is and where it may write."""

    run: str
    """The run's id, which marks everything that the run creates."""
    target: Target
    logs: Path
    """The folder for one log a service."""
    seed: int
    proxy: str
    """"own" or "toxiproxy"."""
    port_base: int = 0
    """The first of the fixed front ports; 0 lets the host choose."""
    features: Features = field(default_factory=Features)
    """What the plan's faults will need."""


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


class Service(Protocol):
    """One running service of the target."""

    @property
    def spec(self) -> ServiceSpec: ...

    @property
    def upstream(self) -> Endpoint:
        """The address without a proxy, from this host; it survives a restart."""
        ...

    def check(self) -> str:
        """Return evidence that the service answers on its direct path, with a write if it can.

        Raises NotReadyError.
        """
        ...

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        """Return the evidence of `check` once it holds; EnvironmentRefused after `limit_ns`."""
        ...


@runtime_checkable
class Killable(Protocol):
    """A service whose main process can be killed, and started again with its data."""

    @property
    def end_signal(self) -> signal.Signals:
        """What asks this kind of service to end without waiting for its clients."""
        ...

    def process_state(self) -> ProcessState: ...

    def kill(self, number: signal.Signals) -> Window:
        """Send the signal to the main process and return the bracket of the call."""
        ...

    def start_again(self) -> Window:
        """Start the service with the data that it left; does nothing while it lives."""
        ...


@runtime_checkable
class Pausable(Protocol):
    """A service whose processes can all be frozen and resumed."""

    def freezer_state(self) -> FreezerState:
        """Read from the host whether its processes run; a dead service is "running"."""
        ...

    def freeze(self) -> Window: ...

    def thaw(self) -> Window:
        """Let every process run, whether or not it is frozen."""
        ...


@runtime_checkable
class Removable(Killable, Protocol):
    """A service that can be removed with all its parts; `start_again` creates it anew."""

    def parts(self) -> frozenset[str]:
        """Return what the service consists of now: its body, and what holds its data."""
        ...

    def left(self, parts: frozenset[str]) -> frozenset[str]:
        """Return which of these parts still exist."""
        ...

    def remove(self, *, keep_data: bool) -> Window:
        """Remove the service at once; EnvironmentRefused, before anything, if it cannot."""
        ...

    def plant(self, marker: str) -> bool:
        """Store `marker` among the service's data; False if nobody knows how to, for its kind."""
        ...

    def finds(self, marker: str) -> bool:
        """Tell whether the service has `marker` among its data. Raises NotReadyError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildProcess:
    """One process of a service other than its main process."""

    pid: int
    """As this host numbers it."""
    started: float
    """Tells it from another process that gets the same number later."""
    command: str
    """Its whole command line."""


@runtime_checkable
class HasChildProcesses(Killable, Protocol):
    """A service whose processes can be listed, and killed one by one."""

    def child_processes(self) -> tuple[ChildProcess, ...]:
        """Return every living process of the service but the main one.

        Raises EnvironmentRefused where they are not processes of this host.
        """
        ...

    def kill_child_processes(
        self, child_processes: tuple[ChildProcess, ...], number: signal.Signals
    ) -> Window:
        """Signal those that still live."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that came to its end."""

    code: int
    output: str
    """What it wrote to both of its outputs."""


@runtime_checkable
class CanExec(Protocol):
    """A service in which a command can be run, with its files and limits."""

    def run_inside(self, command: Sequence[str], limit_ns: int, *, user: str = "") -> Ran:
        """Run a command to its end, as the user of the service.

        `user` is another one, such as ROOT: in process that is who runs the harness. Raises
        EnvironmentRefused if it cannot be started or takes longer than `limit_ns`.
        """
        ...


class Environment(Protocol):
    """A place where the services of one target run, each edge with a proxy of its own."""

    @property
    def runtime(self) -> str:
        """The word "docker" or "process"."""
        ...

    @property
    def proxy(self) -> str:
        """Name and version of the proxy in front of every edge."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock that its faults go by."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """What was started: each image and its digest, or each service and its server's version."""
        ...

    def missing(self) -> tuple[str, ...]:
        """Return what the host lacks for this target, each with how to get it; starts nothing."""
        ...

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        """Start every service in waves of their dependencies, each ready by protocol."""
        ...

    def service(self, name: str) -> Service: ...

    def proxied(self, edge: Edge) -> Endpoint:
        """Return the address of an edge's proxy; it holds for the life of the environment."""
        ...

    def proxy_servers(self) -> tuple[Endpoint, ...]:
        """Return where each proxy server takes calls: a slow answer is a stall of its own."""
        ...

    def stop(self) -> None:
        """End and remove everything that was started, as far as it goes; keeps the logs.

        Raises NotHealed, listing all that could not be removed.
        """
        ...

    def leftovers(self) -> tuple[str, ...]:
        """Look for anything of this run that is still there; empty is clean."""
        ...
