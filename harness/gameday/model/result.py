"""What a run came to: everything that result.json and every report show."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gameday.model.event import Scalar
from gameday.model.finding import Finding
from gameday.model.verdict import Judgement, Verdict

__all__ = [
    "SCHEMA_VERSION",
    "FaultRecord",
    "Marks",
    "OutageSpan",
    "Result",
    "TimeSeries",
    "Window",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time, in nanoseconds from the start of the run."""

    start_ns: int
    """When it began."""
    end_ns: int
    """When it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """One fault as it was asked for, measured and undone."""

    fault: str
    """The fault's verb."""
    target: str
    """What it hit."""
    asked: Mapping[str, Scalar]
    """Its parameters."""
    exposure: int | None = None
    """How many operations were to meet it, at least; None: nothing was asked."""
    measured: Mapping[str, Scalar]
    """What the fault itself measured, each time it was looked at."""
    active_at_end: bool | None = None
    """Whether it was active until it was due to be undone; None: nothing tells."""
    lapse: str = ""
    """What shows that it was not active for a while after its proof; empty: nothing does."""
    met: int | None = None
    """How many operations met it; None: that is not known."""
    proven: bool
    """Whether it took effect, was active until its end, and was met by enough operations."""
    undone: bool
    """Whether it was proven gone in its time."""
    window: Window | None
    """When it was active."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The moments that recovery is split at, in nanoseconds from the start; None: did not happen.

    t0 inject requested, t1 effect proven, t2 first user-visible failure, t3 undo requested,
    t4 undo proven, t5 first success after the last failure, t6 start of the span in which the
    steady state held again.
    """

    t0: int | None = None
    """Injection requested."""
    t1: int | None = None
    """Effect proven."""
    t2: int | None = None
    """First failure that a client saw."""
    t3: int | None = None
    """Undo requested."""
    t4: int | None = None
    """Undo proven."""
    t5: int | None = None
    """First success after the last failure."""
    t6: int | None = None
    """Start of the steady state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageSpan:
    """One spell of failures, in nanoseconds from the start, by when operations came due."""

    start_ns: int
    """When the first operation that failed came due."""
    end_ns: int | None
    """The first success after its last failure; None: none came while the load was watched."""
    failed: int
    """How many operations failed."""
    share: float
    """The share of the operations between its first failure and its last that failed, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeries:
    """The load in slots of equal width, for pictures: all times are from the start of the run."""

    start_ns: int
    """When the first slot begins."""
    slot_ns: int
    """The width of a slot."""
    ok: tuple[int, ...]
    """Operations served in time, by slot."""
    failed: tuple[int, ...]
    """Operations late or refused."""
    unknown: tuple[int, ...]
    """Operations with an error, or without an answer."""
    p50_ns: tuple[int | None, ...]
    """The median response latency of what was served in a slot; None where nothing was."""
    p99_ns: tuple[int | None, ...]
    """The 99th percentile of the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The whole outcome of one run. `result.json` has these names; they change with the version."""

    scenario: str
    """Its name."""
    title: str
    """Its title."""
    verdict: Verdict
    """PASS, FAIL, INVALID, INCONCLUSIVE or ERROR."""
    reason: str
    """One sentence a line; the first one is what decided."""
    runtime: str
    """docker or process."""
    seed: int
    """The seed of every random draw."""
    parameters: Mapping[str, str]
    """The scenario's parameters as they were set."""
    started_at: str
    """UTC, ISO 8601."""
    host: Mapping[str, Scalar]
    """What the run measured of its host."""
    faults: tuple[FaultRecord, ...] = ()
    """The faults in the order of the scenario."""
    findings: tuple[Finding, ...] = ()
    """Every finding."""
    expectations: tuple[Judgement, ...] = ()
    """Every expectation, in the order of the scenario."""
    guards: tuple[str, ...] = ()
    """What was wrong with the measuring, where it kept the run or a promise from being told."""
    marks: Marks = field(default_factory=Marks)
    """The milestones of the recovery."""
    outages: tuple[OutageSpan, ...] = ()
    """Every spell of failures after the first fault was asked for, in the order of their times."""
    phases: Mapping[str, Window] = field(default_factory=dict)
    """When each phase of the run began and ended, by name."""
    series: TimeSeries | None = None
    """The load over time."""
    steady: Mapping[str, str] = field(default_factory=dict)
    """The limits of the steady state by name ("success", "p99"), as the scenario wrote them."""
    proxy_share: Finding | None = None
    """The finding of that name, once more."""
    images: Mapping[str, str] = field(default_factory=dict)
    """In docker: each image and its digest, or its id if it was built on this host."""
    servers: Mapping[str, str] = field(default_factory=dict)
    """In process: each service whose server tells its version, and what it says."""
    clean: tuple[str, ...] = ()
    """What the last check found left behind: empty is clean."""
    folder: str = ""
    """Where the run left its files."""
    sabotage: str = ""
    """The name of the sabotage that this run carried, if any."""
    schema_version: int = SCHEMA_VERSION
    """The version of this format."""
