"""Faults that would undo or feign each other are not in at the same time; others may be."""

import inspect
from dataclasses import dataclass
from typing import ClassVar

import pytest

from gameday.api.fault import Conflicts
from gameday.faults.conflicts import conflict
from gameday.model.clock import SECOND
from gameday.model.scenario import FaultSpec, FaultStep, Hits
from gameday.registry import FAULTS


def fault(text: str) -> FaultSpec:
    """Return what stands for "verb: target", with "until: oom" where that follows."""
    said, _, until = text.partition(", until: ")
    name, _, hit = said.partition(": ")

    @dataclass(frozen=True)
    class Written:
        verb: ClassVar[str] = name
        hits: ClassVar[Hits] = FAULTS[name].hits
        target: str
        until: str

        @property
        def conflicts(self) -> Conflicts:
            """What the fault of that verb says of itself."""
            said = inspect.getattr_static(FAULTS[name], "conflicts", Conflicts())
            if isinstance(said, property):
                said = said.fget(self)  # type: ignore[misc]
            assert isinstance(said, Conflicts)
            return said

    return Written(hit, until)


def step(text: str, at_s: int = 0, for_s: int = 1) -> FaultStep:
    return FaultStep(fault=fault(text), at_ns=at_s * SECOND, for_ns=for_s * SECOND)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("cpu-limit: redis", "cpu-limit: redis", "each would undo the other"),
        ("maxmemory: redis", "maxmemory: redis", "each would undo the other"),
        ("cpu-limit: redis", "cpu-burn: redis", "both act on its processor time"),
        ("memory-limit: redis", "memory-burn: redis", "both act on its memory"),
        ("disk-fill: redis", "read-only-data: redis", "both act on its disk"),
        ("clock-offset: redis", "clock-drift: redis", "both act on its clock"),
        ("promote: copy", "stop-replay: copy", "both act on its replay"),
        ("kill: redis", "pause: redis", "both act on its processes"),
        ("restart: redis", "cpu-limit: redis", "restart takes away what cpu-limit acts on"),
        ("pause: redis", "maxmemory: redis", "pause takes away what maxmemory acts on"),
        (
            "memory-burn: redis, until: oom",
            "client-kill: redis",
            "memory-burn takes away what client-kill acts on",
        ),
        (
            "kill: redis",
            "connection-flood: client -> redis",
            "kill takes away what connection-flood acts on",
        ),
        ("kill: redis", "slow-consumer: redis", "kill takes away what slow-consumer acts on"),
        ("latency: a -> b", "latency: a -> b", "both act on the connection a -> b"),
        ("latency: a -> b", "blackhole: a -> b", "both act on the connection a -> b"),
        ("latency: a -> b", "http-delay: a -> b", "both act on the connection a -> b"),
        ("latency: a -> b", "partition: a | b, c", "both act on the connection a -> b"),
        ("packet-loss: a -> b", "partition: a, b, c", "both act on the connection a -> b"),
        ("partition: a | b", "partition: c | d", "both part services"),
    ],
)
def test_faults_that_set_the_same_or_end_each_other_are_at_odds(
    one: str, other: str, why: str
) -> None:
    assert conflict(step(one), step(other)) == why
    assert conflict(step(other), step(one)) == why


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cpu-limit: redis", "cpu-limit: relay"),
        ("cpu-limit: redis", "memory-limit: redis"),
        ("kill: redis", "kill: relay"),
        ("kill: redis", "cpu-limit: relay"),
        ("kill: redis", "surge: redis"),
        ("kill: redis", "latency: relay -> redis"),
        ("kill: redis", "partition: redis | relay"),
        ("kill: relay", "connection-flood: relay -> redis"),
        ("memory-burn: redis", "client-kill: redis"),
        ("lock-table: postgres", "lock-table: postgres"),
        ("http-status: a -> b", "http-delay: a -> b"),
        ("http-status: a -> b", "http-status: a -> b"),
        ("latency: a -> b", "latency: c -> b"),
        ("latency: a -> b", "partition: a | c"),
        ("latency: a -> b", "cpu-limit: b"),
        ("partition: a | b", "pause: a"),
    ],
)
def test_faults_that_leave_each_other_alone_may_be_in_together(one: str, other: str) -> None:
    assert conflict(step(one), step(other)) is None
    assert conflict(step(other), step(one)) is None


@pytest.mark.parametrize("verb", ["persistence-off", "disk-fill", "clock-offset", "poison-message"])
@pytest.mark.parametrize(
    ("at_s", "for_s", "may"),
    [(1, 8, True), (2, 7, False), (3, 7, False), (3, 1, False), (1, 3, False), (1, 7, False)],
    ids=["around it", "with it", "from within", "within", "into it", "until its end"],
)
def test_what_outlives_a_process_is_set_and_undone_while_that_lives(
    verb: str, at_s: int, for_s: int, may: bool
) -> None:
    dead, other = step("kill: redis", 2, 6), step(f"{verb}: redis", at_s, for_s)
    why = None if may else f"{verb} has to begin before kill and to end after it"
    assert conflict(dead, other) == conflict(other, dead) == why
