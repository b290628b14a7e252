"""What a run can ask of its environment, in either runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gameday.api.edge import EdgeProxy
from gameday.api.service import (
    ROOT,
    Checkpoint,
    ChildProcess,
    Endpoint,
    FreezerState,
    NotReadyError,
    ProcessState,
    Ran,
    Service,
)
from gameday.model.clock import Clock
from gameday.model.scenario import Edge, Target

__all__ = [
    "ROOT",
    "Checkpoint",
    "ChildProcess",
    "Emit",
    "Endpoint",
    "Environment",
    "EnvironmentConfig",
    "Features",
    "FreezerState",
    "NotReadyError",
    "ProcessState",
    "Ran",
    "Service",
]

Emit = Callable[[str, int, str], None]
"""Told of every service that is up: its name, how long that took in ns, and the evidence."""


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

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every connection that the target declares."""
        ...

    def edge(self, edge: Edge) -> EdgeProxy:
        """Return the proxy of an edge."""
        ...

    @property
    def run(self) -> str:
        """The id of the run."""
        ...

    def scratch(self) -> Path:
        """Make and return a folder for a fault's own files; it goes when the environment goes."""
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
