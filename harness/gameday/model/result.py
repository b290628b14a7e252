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
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """One fault as it was asked for, measured and undone."""

    fault: str
    target: str
    asked: Mapping[str, Scalar]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The moments that recovery is split at, in nanoseconds from the start; None: did not happen.

    t0 inject requested, t1 effect proven, t2 first user-visible failure, t3 undo requested,
    t4 undo proven, t5 first success after the last failure, t6 start of the span in which the
    steady state held again.
    """

    t0: int | None = None
    t1: int | None = None
    t2: int | None = None
    t3: int | None = None
    t4: int | None = None
    t5: int | None = None
    t6: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageSpan:
    """One spell of failures, in nanoseconds from the start, by when operations came due."""

    start_ns: int
    end_ns: int | None
    """The first success after its last failure; None: none came while the load was watched."""
    failed: int
    share: float
    """The share of the operations between its first failure and its last that failed, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeries:
    """The load in slots of equal width, for pictures: all times are from the start of the run."""

    start_ns: int
    slot_ns: int
    ok: tuple[int, ...]
    failed: tuple[int, ...]
    unknown: tuple[int, ...]
    p50_ns: tuple[int | None, ...]
    """The median response latency of what was served in a slot; None where nothing was."""
    p99_ns: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The whole outcome of one run. `result.json` has these names; they change with the version."""

    scenario: str
    title: str
    verdict: Verdict
    reason: str
    """One sentence a line; the first one is what decided."""
    runtime: str
    seed: int
    parameters: Mapping[str, str]
    started_at: str
    """UTC, ISO 8601."""
    host: Mapping[str, Scalar]
    faults: tuple[FaultRecord, ...] = ()
    findings: tuple[Finding, ...] = ()
    expectations: tuple[Judgement, ...] = ()
    guards: tuple[str, ...] = ()
    """What was wrong with the measuring, where it kept the run or a promise from being told."""
    marks: Marks = field(default_factory=Marks)
    outages: tuple[OutageSpan, ...] = ()
    """Every spell of failures after the first fault was asked for, in the order of their times."""
    phases: Mapping[str, Window] = field(default_factory=dict)
    series: TimeSeries | None = None
    steady: Mapping[str, str] = field(default_factory=dict)
    """The limits of the steady state by name ("success", "p99"), as the scenario wrote them."""
    proxy_share: Finding | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    """In docker: each image and its digest, or its id if it was built on this host."""
    servers: Mapping[str, str] = field(default_factory=dict)
    """In process: each service whose server tells its version, and what it says."""
    clean: tuple[str, ...] = ()
    """What the last check found left behind: empty is clean."""
    folder: str = ""
    sabotage: str = ""
    """The name of the sabotage that this run carried, if any."""
    schema_version: int = SCHEMA_VERSION
