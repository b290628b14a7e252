"""What valid scenario, target and SLA files say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from gameday.model.clock import MINUTE, SECOND
from gameday.model.login import Logins
from gameday.model.units import DurationLimit, DurationNs, Limit, RatioLimit, SizeBytes
from gameday.model.verdict import Verdict

__all__ = [
    "CLIENT",
    "Edge",
    "Expectation",
    "FaultSpec",
    "FaultStep",
    "Hits",
    "MetBy",
    "Sabotage",
    "Safety",
    "Scenario",
    "ServiceSpec",
    "Sla",
    "Steady",
    "StopCondition",
    "Switch",
    "Target",
    "Timeline",
    "Vocabulary",
    "WorkloadSpec",
]


CLIENT = "client"
"""What the harness itself is called as the near end of an edge."""

Hits = Literal["service", "edge", "services"]
"""What a fault is aimed at: a service, a connection "a -> b", or several services "a | b, c"."""


MetBy = Literal["load", "probes"]


class FaultSpec(Protocol):
    """A verb of the `faults:` list with its parameters: a frozen dataclass."""

    verb: ClassVar[str]
    hits: ClassVar[Hits]

    @property
    def target(self) -> str:
        """The service, the edge "a -> b" or the services "a | b, c" that the fault hits."""
        ...


class WorkloadSpec(Protocol):
    """A verb of the `workload:` list with its parameters: a frozen dataclass."""

    verb: ClassVar[str]

    @property
    def to(self) -> str:
        """The service that receives the load."""
        ...

    @property
    def ledger(self) -> str:
        """The service that tells what became of the load."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The words that a scenario may use: each verb with the dataclass of its parameters."""

    faults: Mapping[str, type[FaultSpec]]
    workloads: Mapping[str, type]
    services: frozenset[str]
    """The kinds of service."""
    programs: frozenset[str]
    """Those kinds that run a program which the target names."""
    primaries: Mapping[str, str] = field(default_factory=dict)
    """For each kind of replica, the kind that it copies."""
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The kinds of service that a fault can hit, where it cannot hit all."""
    findings: Mapping[str, str]
    """The unit (`Unit`) of each finding that an expectation or an SLA may name."""
    conflict: Callable[["FaultStep", "FaultStep"], str | None] = lambda *_: None
    """Why two faults that are in at the same time cannot be; None: they can."""
    validate_step: Callable[["FaultStep", "Target", Sequence[WorkloadSpec]], None] = lambda *_: None
    """Raises InvalidParameter for what a step cannot be on that target, beside that load."""
    is_program: Callable[["ServiceSpec"], bool] = lambda _: True
    """Whether Python finds the module that a service runs."""
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a service that runs a program is told of itself, by its kind."""
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What it is told about one of each kind that it needs, without that one's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """The steady state: what counts as the system doing its work."""

    success: RatioLimit
    """The share of operations served in time."""
    p99: DurationLimit
    """The 99th percentile of the latency."""
    for_ns: DurationNs = 5 * SECOND
    """The span over which both must hold, before the faults and after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """How long each part of a run may take."""

    baseline_ns: DurationNs = 5 * SECOND
    """How long the load runs before the first fault."""
    recovery_ns: DurationNs = 2 * MINUTE
    """How long to wait for the steady state after the last fault."""
    quiet_ns: DurationNs = 2 * SECOND
    """The pause between the end of the load and the final read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStep:
    """One fault of the scenario and when it happens, counted from the end of the baseline."""

    fault: FaultSpec
    at_ns: DurationNs = 0
    """When it is injected, counted from the end of the baseline."""
    for_ns: DurationNs
    """How long it stays active."""
    exposure: int = 1
    """How many operations must come due while it is active, at least."""
    met_by: MetBy = "load"
    """Whose operations count: `load`, or `probes` for the harness's own as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCondition:
    """When this holds for its span, every fault is undone at once."""

    success: RatioLimit
    """The share of operations served that triggers it."""
    for_ns: DurationNs = 3 * SECOND
    """How long the share must stay there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """How far the experiment may go."""

    services: int = 2
    """The most services that faults may hit at the same time."""
    longest_ns: DurationNs = 10 * MINUTE
    """The longest that a fault may last."""
    stop: StopCondition | None = None
    """When all faults are undone at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sla:
    """A limit that a document promises, and where."""

    name: str
    title: str
    finding: str
    limit: Limit
    document: str
    section: str
    quote: str
    severity: str = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A finding and the limit it has to keep; `sla` is set when a document promises it."""

    name: str
    finding: str
    limit: Limit
    sla: Sla | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """A deliberate defect and the outcome it must have; proves that the scenario can fail."""

    disable: tuple[str, ...]
    breaks: tuple[str, ...] = ()
    gives: Verdict = Verdict.FAIL

    @property
    def name(self) -> str:
        """The name of the test item, such as "no-reconnect"."""
        return "no-" + "+".join(self.disable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One chaos experiment, with its parameters already substituted."""

    name: str
    title: str
    path: Path
    target: str
    tags: frozenset[str] = frozenset()
    parameters: Mapping[str, str] = field(default_factory=dict)
    workload: tuple[WorkloadSpec, ...]
    steady: Steady
    timeline: Timeline
    safety: Safety = field(default_factory=Safety)
    faults: tuple[FaultStep, ...]
    expect: tuple[Expectation, ...]
    sabotage: tuple[Sabotage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A connection that the target declares: `client` opens it, `service` answers."""

    client: str
    service: str

    def __str__(self) -> str:
        return f"{self.client} -> {self.service}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A protection of the target that a sabotage can turn off, and how."""

    service: str
    """The service that it changes."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The variables that turn the protection off."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The server settings that turn it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service of a target, in either runtime."""

    name: str
    kind: str
    """The technology; see below."""
    needs: tuple[str, ...] = ()
    """The services that it connects to, each through a proxy."""
    image: str | None = None
    """The container image, in place of the kind's own."""
    program: str | None = None
    """For an app: the Python module to run, such as "apps.relay"."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of the server, such as `appendonly: "yes"`."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    pass_env: tuple[str, ...] = ()
    """Variables of the user who runs gameday that the service also gets."""
    disk_bytes: SizeBytes | None = None
    """Gives its data a volume of this size, in memory; without it they are on the host's disk."""
    memory_bytes: SizeBytes | None = None
    """The memory limit of its container; 2 GiB by default."""
    pids: int | None = None
    """The limit of processes and threads of its container; 4096 by default."""
    places: tuple[Path, ...] = ()
    """The folders where its program is looked for before the bundled and the installed ones."""
    logins: Logins = field(default_factory=Logins, repr=False)
    """As whom it is spoken to, once an environment has made passwords; in no file and no report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A system under test: its services, the edges between them and what can be switched off."""

    name: str
    title: str
    path: Path
    services: tuple[ServiceSpec, ...]
    switches: Mapping[str, Switch] = field(default_factory=dict)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every connection between services, plus one from the harness's client to each."""
        inner = [Edge(client=s.name, service=need) for s in self.services for need in s.needs]
        return (*inner, *(Edge(client=CLIENT, service=s.name) for s in self.services))

    @property
    def waves(self) -> tuple[tuple[ServiceSpec, ...], ...]:
        """The services in the order of their starts: each needs only services before its wave."""
        waves: list[tuple[ServiceSpec, ...]] = []
        placed: set[str] = set()
        while len(placed) < len(self.services):
            wave = tuple(
                s for s in self.services if s.name not in placed and placed.issuperset(s.needs)
            )
            assert wave, "loading refuses a circle of needs"
            placed.update(s.name for s in wave)
            waves.append(wave)
        return tuple(waves)
