"""What happens during a run, written to the journal as one JSON line each."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

__all__ = [
    "EVENTS",
    "EffectProven",
    "Event",
    "FaultEvent",
    "FaultInjected",
    "FaultUndone",
    "Note",
    "Phase",
    "PhaseEntered",
    "Progress",
    "Scalar",
    "ServiceUp",
    "UndoProven",
    "UndoRecorded",
    "event_from_json",
    "event_to_json",
]

Scalar = str | int | float | bool | None


class Phase(StrEnum):
    """The nine steps of a run, in their order."""

    LOAD = "load"
    PLAN = "plan"
    START = "start"
    BASELINE = "baseline"
    BREAK = "break"
    RECOVER = "recover"
    SETTLE = "settle"
    ANALYSE = "analyse"
    JUDGE = "judge"

    @property
    def number(self) -> int:
        """The step's number, from 1 to 9."""
        return list(Phase).index(self) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at `at_ns` of the run's monotonic clock."""

    at_ns: int
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEntered(Event):
    """The run went on to `phase`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUp(Event):
    """A service answered by its own protocol, with a write where it can."""

    service: str
    took_ns: int
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent(Event):
    """Something that happened to one fault of the plan."""

    step: int
    fault: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRecorded(FaultEvent):
    """The record of how to undo the fault is on disk; the fault is not active yet."""

    undo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(FaultEvent):
    """A fault was requested; the call lasted from `called_ns` to `returned_ns`."""

    called_ns: int
    returned_ns: int
    asked: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectProven(FaultEvent):
    """What was measured of a fault's effect, and whether it proves that the fault took effect."""

    proven: bool
    measured: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultUndone(FaultEvent):
    """The undo of a fault was requested; the call lasted from `called_ns` to `returned_ns`."""

    called_ns: int
    returned_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoProven(FaultEvent):
    """What was read again after the undo, and whether it proves that the fault is gone."""

    proven: bool
    measured: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How the load is doing: shown live, and kept so that a crashed run can be read."""

    operations: int
    """All operations answered so far."""
    per_s: float
    success: float
    """The share of the last second's operations that succeeded, 0 to 1."""
    p99_ns: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Anything worth a line in the journal."""

    text: str


EVENTS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        PhaseEntered,
        ServiceUp,
        UndoRecorded,
        FaultInjected,
        EffectProven,
        FaultUndone,
        UndoProven,
        Progress,
        Note,
    )
}


def event_to_json(event: Event) -> str:
    """Return the journal's line of `event`, without the line break."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, ensure_ascii=False)


def event_from_json(line: str) -> Event:
    """Return the event that a line of the journal holds; ValueError when it holds none."""
    fields = json.loads(line)
    kind = EVENTS.get(fields.pop("event", ""))
    if kind is None:
        raise ValueError(f"not a journal line: {line[:80]!r}")
    fields["phase"] = Phase(fields["phase"])
    return kind(**fields)
