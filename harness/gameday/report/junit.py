"""Findings and expectations of a run as properties of a JUnit file."""

import math

from gameday.escaping import printable
from gameday.model.finding import Finding
from gameday.model.result import Result
from gameday.model.verdict import Judgement
from gameday.report.labels import one_line

__all__ = ["junit_properties"]


def junit_properties(result: Result) -> list[tuple[str, str]]:
    """Return name and value pairs for `item.user_properties`.

    Numbers are exact and in the finding's unit, written as "value=… low=… high=… unit=…", with
    "none" for what was not measured and "inf" for what never happened while it was watched.
    """
    properties = [
        ("gameday.scenario", result.scenario),
        ("gameday.verdict", result.verdict.value),
        ("gameday.reason", one_line(result.reason)),
        ("gameday.runtime", result.runtime),
        ("gameday.seed", str(result.seed)),
        ("gameday.folder", result.folder),
    ]
    if result.sabotage:
        properties.append(("gameday.sabotage", result.sabotage))
    properties += [(f"gameday.parameter.{name}", text) for name, text in result.parameters.items()]
    properties += [(f"gameday.finding.{f.name}", _numbers(f)) for f in result.findings]
    properties += [(f"gameday.expectation.{j.name}", _judged(j)) for j in result.expectations]
    # A path keeps its blanks.
    return [(one_line(name), printable(value.replace("\n", " "))) for name, value in properties]


def _judged(judgement: Judgement) -> str:
    seen, margin = one_line(judgement.seen), one_line(judgement.margin)
    return f"{judgement.verdict}: wanted {judgement.wanted}, seen {seen}, margin {margin}"


def _numbers(finding: Finding) -> str:
    named = (("value", finding.value), ("low", finding.low), ("high", finding.high))
    numbers = " ".join(f"{name}={_number(value)}" for name, value in named)
    return f"{numbers} unit={finding.unit.value} samples={finding.samples}"


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    if math.isinf(value):
        return "inf"
    return str(int(value)) if value == int(value) else repr(float(value))
