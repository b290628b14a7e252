"""Labels that all reports share."""

import shlex
from collections.abc import Iterable, Mapping

from gameday.model.event import Scalar
from gameday.model.facts import details, one_line
from gameday.model.finding import Finding
from gameday.model.result import FaultRecord, Result, Window
from gameday.model.units import format_duration, parse_duration

__all__ = [
    "DATA",
    "MARKS",
    "OUTCOMES",
    "RECOVERY",
    "details",
    "duration_of",
    "fault_name",
    "findings_named",
    "in_short",
    "one_line",
    "parameters_of",
    "replay_command",
    "seconds",
    "window_of",
]

RECOVERY: Mapping[str, str] = {
    "detect": "from the proven effect to the first failure that a client saw",
    "outage": "the longest spell from a failure to the first success after its last one",
    "outage_total": "all such spells together",
    "failover": "the longest gap between successes that overlaps the fault",
    "recovery": "from the injection to the steady state",
    "recovery_after_heal": "from the proven undo to the steady state",
    "stabilise": "from the first success to the steady state",
    "recovery_front": "recovery on the path that users take",
    "recovery_direct": "recovery past the harness's proxy",
}
"""The findings that split a recovery, in the order of time, and what each spans."""

DATA = ("lost", "phantom", "duplicate", "reordered", "corrupt", "unknown", "rpo")
"""The findings about data, the worst first."""

OUTCOMES: Mapping[str, str] = {
    "ok": "served",
    "failed": "late or refused",
    "unknown": "error or no answer",
}
"""What clients got, by the names that the series of result.json have."""

MARKS: Mapping[str, str] = {
    "t0": "inject requested",
    "t1": "effect proven",
    "t2": "first failure",
    "t3": "undo requested",
    "t4": "undo proven",
    "t5": "first success",
    "t6": "steady again",
}


def in_short(result: Result) -> str:
    """Return the first reason of the verdict on one line, and how many more there are."""
    first, *others = result.reason.splitlines() or [""]
    return one_line(f"{first} And {len(others)} more." if others else first)


def seconds(time_ns: int, digits: int = 2) -> str:
    """Return a moment or a span in seconds with fixed digits, so that columns line up."""
    return f"{time_ns / 1e9:.{digits}f} s"


def fault_name(fault: FaultRecord) -> str:
    """Return the fault as the scenario writes it: "kill store"."""
    return one_line(f"{fault.fault} {fault.target}")


def duration_of(asked: Mapping[str, Scalar]) -> int | None:
    """Return how long a fault was declared to last, or None when that was not said."""
    for name in ("for_ns", "for"):
        value = asked.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return round(value)
        if isinstance(value, str):
            try:
                return parse_duration(value)
            except ValueError:
                continue
    return None


def window_of(fault: FaultRecord) -> str:
    """Return when the fault was in, and its actual and declared length."""
    if fault.window is None:
        return "it was never active"
    window = _span(fault.window)
    declared = duration_of(fault.asked)
    return window if declared is None else f"{window}, declared {format_duration(declared)}"


def findings_named(result: Result, names: Iterable[str]) -> list[Finding]:
    """Return the findings of those names that the result has, in the order of the names."""
    known = {finding.name: finding for finding in result.findings}
    return [known[name] for name in names if name in known]


def parameters_of(result: Result) -> str:
    """Return the scenario's parameters as a command line or a file name has them."""
    return ", ".join(f"{name}={value}" for name, value in result.parameters.items())


def replay_command(result: Result) -> str:
    """Return the command line that draws the same random numbers again."""
    words = ["pytest", f"--scenario={result.scenario}", f"--gameday-runtime={result.runtime}"]
    words.append(f"--gameday-seed={result.seed}")
    words += [f"--gameday-set={name}={value}" for name, value in result.parameters.items()]
    if result.sabotage:
        words += ["--gameday-sabotage", "-k", result.sabotage]
    return shlex.join(words)


def _span(window: Window) -> str:
    lasted = format_duration(window.end_ns - window.start_ns)
    return f"from {seconds(window.start_ns)} to {seconds(window.end_ns)}, which is {lasted}"
