from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import pytest

from gameday.errors import ScenarioError
from gameday.loading import load_scenario
from gameday.model.clock import SECOND
from gameday.model.invalid_parameter import require
from gameday.model.scenario import (
    FaultStep,
    Hits,
    Scenario,
    ServiceSpec,
    Sla,
    Switch,
    Target,
    Vocabulary,
    WorkloadSpec,
)
from gameday.model.units import DurationNs, RatePerS, RatioField, parse_limit

GOOD = """\
scenario: good
title: A scenario in which everything is right
target: signals
tags: [redis, nightly]
parameters:
  outage: {default: 2s, sweep: [500ms, 10s]}
workload:
  - publish: {to: relay, ledger: listener, rate: 200/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 5s}
timeline: {baseline: 5s, recovery: 130s, quiet: 2s}
faults:
  - kill: redis
    at: 1s
    for: ${outage}
expect:
  - sla: arbees/mttr
  - availability: ">= 90%"
sabotage:
  - {disable: reconnect, breaks: arbees/mttr}
  - {disable: [kill], gives: INVALID}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    verb: ClassVar[str] = "kill"
    hits: ClassVar[Hits] = "service"
    target: str
    signal: Literal["SIGKILL", "SIGTERM"] = "SIGKILL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    verb: ClassVar[str] = "latency"
    hits: ClassVar[Hits] = "edge"
    target: str
    delay_ns: DurationNs
    jitter_ns: DurationNs = 0
    share: RatioField = 1.0
    count: int = 1
    scale: float = 1.0
    once: bool = False

    def __post_init__(self) -> None:
        if self.jitter_ns > self.delay_ns:
            raise ValueError("jitter is larger than delay")
        require(
            ("count", self.count >= 1, "at least 1"),
            ("scale", self.scale > 0, "more than 0"),
            ("count", not self.once or self.count >= 2, "at least 2 of once"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    verb: ClassVar[str] = "part"
    hits: ClassVar[Hits] = "services"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    verb: ClassVar[str] = "promote"
    hits: ClassVar[Hits] = "service"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    verb: ClassVar[str] = "publish"
    to: str
    ledger: str | None = None
    rate_per_s: RatePerS
    deadline_ns: DurationNs = SECOND

    def __post_init__(self) -> None:
        require(
            ("rate", self.rate_per_s <= 1000, "at most 1000/s"),
            ("deadline", self.deadline_ns > 0, "more than nothing"),
        )


def _validate_step(step: FaultStep, target: Target, workload: Sequence[WorkloadSpec]) -> None:
    """A fault lasts at most a hundred times as long as the load waits for an answer."""
    publish = workload[0] if workload else None
    if isinstance(publish, Publish):
        fits = step.for_ns <= 100 * publish.deadline_ns
        require(("for", fits, "at most 100 times the deadline of the load"))


class Load(Protocol):
    def __call__(self, text: str, /, **settings: str) -> Scenario: ...


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(
        faults={"kill": Kill, "latency": Latency, "part": Part, "promote": Promote},
        kinds={"promote": frozenset({"app"})},
        workloads={"publish": Publish},
        services=frozenset({"redis", "app"}),
        programs=frozenset({"app"}),
        findings={"availability": "ratio", "lost": "count", "outage": "ns", "recovery": "ns"},
        validate_step=_validate_step,
        is_program=lambda spec: spec.program != "apps.rely; rm",
        own={"app": ("HOST", "PORT", "DATA_DIR")},
        told={"app": ("HOST", "PORT"), "redis": ("HOST", "PORT", "USER", "PASSWORD")},
        conflict=lambda one, other: "both kill it" if one.fault == other.fault else None,
    )


@pytest.fixture
def slas() -> dict[str, Sla]:
    mttr = Sla(
        name="arbees/mttr",
        title="Mean time to recovery",
        finding="recovery",
        limit=parse_limit("< 2min"),
        document="002.txt",
        section="Metrics",
        quote="MTTR < 2 minutes",
    )
    return {mttr.name: mttr}


@pytest.fixture
def signals() -> Target:
    return Target(
        name="signals",
        title="Signals",
        path=Path("targets/signals/target.yaml"),
        services=(
            ServiceSpec(name="redis", kind="redis"),
            ServiceSpec(name="relay", kind="app", needs=("redis",)),
            ServiceSpec(name="listener", kind="app", needs=("redis",)),
        ),
        switches={"reconnect": Switch(service="listener", env={"RECONNECT": "off"})},
    )


@pytest.fixture
def load(tmp_path: Path, vocabulary: Vocabulary, slas: dict[str, Sla], signals: Target) -> Load:
    """Load a text as the file good.yaml of the target `signals`."""

    def find(name: str) -> Target:
        if name != "signals":
            raise ScenarioError(f"no target {name!r}; valid: signals")
        return signals

    def load(text: str, /, **settings: str) -> Scenario:
        path = tmp_path / "good.yaml"
        path.write_text(text, encoding="utf-8")
        return load_scenario(path, vocabulary, slas=slas, target=find, settings=settings)

    return load


@pytest.fixture
def complaints(tmp_path: Path) -> Callable[[Callable[[], object]], list[str]]:
    """Return the lines of the ScenarioError that a call raises, with file names for paths."""

    def complaints(call: Callable[[], object]) -> list[str]:
        with pytest.raises(ScenarioError) as caught:
            call()
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return complaints


@pytest.fixture
def told_after(
    load: Load, good: str, complaints: Callable[[Callable[[], object]], list[str]]
) -> Callable[[str, str], list[str]]:
    """Return what is told when one place of the right file is written otherwise."""

    def told_after(old: str, new: str) -> list[str]:
        assert old in good
        text = good.replace(old, new, 1)
        return [line.removeprefix("good.yaml:") for line in complaints(lambda: load(text))]

    return told_after
