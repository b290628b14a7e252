"""What the engine asks of a fault: five calls, each of which leaves evidence, or six."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

from gameday.api.environment import Checkpoint, Environment, Features
from gameday.api.mechanism import Mechanism
from gameday.api.service_kind import ServiceKind
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import FaultSpec, Target, WorkloadSpec

__all__ = [
    "Bears",
    "BoundToWorkload",
    "Conflicts",
    "Counted",
    "Example",
    "Fault",
    "HasRequirements",
    "Injection",
    "Lasting",
    "Proof",
    "Requirements",
    "ValidatedInContext",
    "Watchful",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was measured, and whether it proves what it should."""

    proven: bool
    measured: Mapping[str, Scalar] = field(default_factory=dict)


class Injection(Protocol):
    """One fault on its target, from before its injection until it is proven healed."""

    @property
    def undo_text(self) -> str:
        """What would heal it, for the record that is written before the fault is in."""
        ...

    @property
    def asked(self) -> Mapping[str, Scalar]:
        """The parameters that were asked for."""
        ...

    def inject(self) -> Window:
        """Put the fault in and return the bracket of the call."""
        ...

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Measure the effect; bounded in time."""
        ...

    def undo(self) -> Window:
        """Heal, whatever state the fault is in; calling it twice is harmless."""
        ...

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """Re-read the state; what cannot be read counts as not undone. Bounded in time."""
        ...


@runtime_checkable
class Lasting(Protocol):
    """An injection that stays active until its undo, and can be asked whether it is.

    One that ends by itself, such as a restart, has no such state.
    """

    def is_active(self) -> Proof:
        """Read, in about a second at most and without load, whether it is still active.

        Called several times after the proof, and right before the undo is due. If the last call
        raises, the fault is not shown to be active.
        """
        ...


@runtime_checkable
class Watchful(Lasting, Protocol):
    """A lasting injection that is observed continuously from its proof to its undo."""

    def lapse(self) -> str:
        """Return what shows that it was interrupted; empty: nothing does. Takes a millisecond.

        It may be called only after the interruption is over.
        """
        ...


@runtime_checkable
class Counted(Protocol):
    """An injection whose mechanism counts the operations that meet it."""

    def met(self) -> int | None:
        """Return how many operations met it until its undo; None: unknown.

        The harness's own probes of this fault are left out.
        """
        ...


class Fault(FaultSpec, Protocol):
    """A verb of a scenario: a frozen dataclass of parameters that can act on an environment."""

    def on(self, environment: Environment) -> Injection:
        """Return the fault ready for injection; EnvironmentRefused if the target cannot bear it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a fault needs in one runtime beyond a service or an edge to hit."""

    impossible: str = ""
    """Why it is impossible in that runtime; empty where it is possible."""
    bounded_disk: bool = False
    """Whether the target must limit the disk of the service that is hit."""
    hosts_disk: bool = False
    """Whether its data must lie on the host's disk, as they do unless it is limited."""
    mechanisms: tuple[Mechanism, ...] = ()
    """What is tried on this host before anything is started."""
    features: Features = field(default_factory=Features)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """What a fault does to others that are active at the same time: class variable `conflicts`.

    A fault without one acts on what no other does, and is active once per service at most.
    """

    acts_on: str = ""
    """What of its service it sets, such as "its memory": two that set the same undo each other."""
    several: bool = False
    """Whether several can be active at once: each has a part of its own, such as a queue."""
    takes_process: bool = False
    """Whether it ends or freezes its service's process, with what others have set in that."""
    outlives_process: bool = False
    """Whether it stays when the process ends. It is still set and undone while that lives."""
    leaves_service_alone: bool = False
    """Whether it needs nothing of the service that it hits."""
    holds_connections: bool = False
    """Whether it consists of connections, which end with the service that they lead to."""


Bears = Callable[[ServiceKind], bool]
"""Tells whether services of a kind can bear a fault, for its class variable `kinds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Parameters by which `gameday doctor` asks a fault for its requirements before any scenario.

    A fault with requirements has one as its class variable `example`, unless it takes no parameter
    but its target.
    """

    parameters: Mapping[str, object] = field(default_factory=dict)
    """Those that have no default. The requirements of others with the same names are no less."""
    decisive: tuple[str, ...] = ()
    """The parameters of few values on which the requirements depend."""


@runtime_checkable
class HasRequirements(Protocol):
    """A fault that not every host and environment can give what it needs."""

    def requirements(self, runtime: str) -> Requirements:
        """Return what it needs in `runtime`, "docker" or "process"."""
        ...


@runtime_checkable
class BoundToWorkload(Protocol):
    """A fault that takes some of its parameters from the load that it is put beside."""

    def bind_to_workload(self, workload: WorkloadSpec) -> Self:
        """Return the fault with those parameters; InvalidParameter for those that cannot be."""
        ...


@runtime_checkable
class ValidatedInContext(Protocol):
    """A fault whose parameters have to fit the target, or the time for which it is in."""

    def validate_in_context(self, target: Target, for_ns: int) -> None:
        """Raise InvalidParameter for parameters that do not."""
        ...
