"""What a run is going to do, resolved to absolute steps before anything is started."""

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.model.event import Scalar

__all__ = ["Plan", "PlannedFault", "PlannedStream"]

_BASELINES_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """One fault of the timeline, in nanoseconds from the end of the baseline."""

    step: int
    fault: str
    target: str
    at_ns: int
    until_ns: int
    settings: Mapping[str, Scalar]
    exposure: int = 1
    """How many operations have to come due while it is in."""
    met_by: tuple[str, ...] = ()
    """The streams whose operations count as having met it."""
    usual: tuple[str, ...] = ()
    """The settings that have the value which goes without saying."""
    needs: tuple[str, ...] = ()
    """The mechanisms of the host that it takes, as `gameday doctor` calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStream:
    """One stream of operations at a fixed rate."""

    name: str
    client: str
    """What is spoken, such as "publish" or "http-ready"."""
    edge: str
    """The edge that is used, or a service's name for its direct path."""
    rate_per_s: float
    deadline_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that was decided before the start: plan.json."""

    scenario: str
    title: str
    path: str
    target: str
    runtime: str
    runtime_why: str
    """Who or what chose it."""
    proxy: str
    seed: int
    parameters: Mapping[str, str]
    sabotage: str
    waves: tuple[tuple[str, ...], ...]
    edges: tuple[str, ...]
    streams: tuple[PlannedStream, ...]
    faults: tuple[PlannedFault, ...]
    expectations: tuple[str, ...]
    baseline_ns: int
    steady_ns: int
    recovery_limit_ns: int
    quiet_ns: int
    stop: str = ""
    """What the load may not look like, and for how long; empty: nothing ends the run early."""

    @property
    def faults_end_ns(self) -> int:
        """When the last fault is undone, from the end of the baseline."""
        return max((fault.until_ns for fault in self.faults), default=0)

    @property
    def scripted_ns(self) -> int:
        """The shortest time that the scenario itself takes: the system recovers at once."""
        return self.baseline_ns + self.faults_end_ns + self.steady_ns + self.quiet_ns

    @property
    def baseline_limit_ns(self) -> int:
        """How long the steady state is waited for: a cold start or a busy host may delay it."""
        return _BASELINES_MOST * self.baseline_ns

    @property
    def longest_ns(self) -> int:
        """The longest that load can run: the system never recovers."""
        return self.baseline_limit_ns + self.faults_end_ns + self.recovery_limit_ns + self.quiet_ns
