"""The timeline of a run: faults, load and outcomes on one time axis."""

import html
from collections.abc import Iterator
from pathlib import Path

from gameday.model.event import Event
from gameday.model.finding import Finding
from gameday.model.result import Result
from gameday.model.units import Unit, format_value
from gameday.report.drawing import (
    elided,
    line,
    rect,
    text,
    text_width,
)
from gameday.report.labels import (
    MARKS,
    OUTCOMES,
    fault_name,
    findings_named,
    in_short,
    one_line,
    parameters_of,
    seconds,
    window_of,
)
from gameday.report.panels import LANE, LANES_TOP, RIGHT, WIDTH, Panels, lanes_of, time_scale
from gameday.report.stylesheet import PATTERNS, STYLE

__all__ = ["FILE_NAME", "TimelineWriter", "timeline_svg"]

FILE_NAME = "timeline.svg"

_HEIGHT = 700.0
_RATE_HEIGHT_MIN = 110.0
_AXIS_BELOW = 52.0
_NUMBERS = ("recovery", "outage", "recovery_after_heal", "availability", "p99", "lost", "unknown")


class TimelineWriter:
    """Leaves timeline.svg in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_event(self, event: Event) -> None:
        """Wait for the result: the picture is of the whole run."""

    def on_result(self, result: Result) -> None:
        (self._folder / FILE_NAME).write_text(timeline_svg(result), encoding="utf-8")


def timeline_svg(result: Result) -> str:
    """Return one self-contained SVG: no script, no font or file from elsewhere."""
    lanes = lanes_of(result)
    height = _HEIGHT + max(0, len(lanes) - 4) * LANE
    top = LANES_TOP + len(lanes) * LANE + 22
    bottom = height - _AXIS_BELOW
    rate_bottom = top + max(_RATE_HEIGHT_MIN, (bottom - top - 34) * 0.52)
    picture = Panels(
        result=result,
        x=time_scale(result),
        rate=(top, rate_bottom),
        latency=(rate_bottom + 34, bottom),
    )
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"',
        f'  width="{WIDTH}" height="{height:.0f}" lang="en" role="img"',
        '  aria-labelledby="gameday-title gameday-desc">',
        f'<title id="gameday-title">{_escaped(_spoken_title(result))}</title>',
        f'<desc id="gameday-desc">{_escaped(_spoken(result))}</desc>',
        f"<style>{STYLE}</style>",
        PATTERNS,
        rect(0, 0, WIDTH, height, "paper"),
        *_headline(result),
        *_numbers(result),
        *picture.bands(),
        *picture.lanes(lanes),
        *picture.rate_panel(),
        *picture.latency_panel(),
        *picture.time_axis(),
        *picture.marks(),
        "</svg>\n",
    )
    return "\n".join(parts)


def _escaped(content: str) -> str:
    return html.escape(one_line(content))


def _spoken_title(result: Result) -> str:
    return f"{result.verdict}: {result.scenario}, {result.title}"


def _spoken(result: Result) -> str:
    """Return the picture in words, for those who do not see it."""
    sentences = [f"Verdict {result.verdict}: {one_line(result.reason)}"]
    sentences += [f"{fault_name(fault)}: {window_of(fault)}" for fault in result.faults]
    sentences += [f"{name.replace('_', ' ')} {f}" for name, f in _key_findings(result)]
    for name, words in MARKS.items():
        at_ns = getattr(result.marks, name)
        if at_ns is not None:
            sentences.append(f"{name}, {words}, at {seconds(at_ns, 3)}")
    if result.series is not None:
        counts = {name: sum(getattr(result.series, name)) for name in OUTCOMES}
        told = ", ".join(f"{count} {OUTCOMES[name]}" for name, count in counts.items())
        sentences.append(f"Operations: {told}")
    return ". ".join(sentence.rstrip(".") for sentence in sentences) + "."


def _key_findings(result: Result) -> list[tuple[str, Finding]]:
    return [(finding.name, finding) for finding in findings_named(result, _NUMBERS)]


def _headline(result: Result) -> Iterator[str]:
    badge = result.verdict.value
    width = text_width(badge, 17, bold=True) + 28
    yield rect(24, 20, width, 34, f"badge {badge.lower()}")
    yield text(24 + width / 2, 43, badge, "badge-text", anchor="middle")
    x = 24 + width + 16
    room = RIGHT - x
    yield text(x, 37, elided(result.title or result.scenario, room, 20, bold=True), "headline")
    facts = [result.scenario, parameters_of(result), result.runtime, f"seed {result.seed}"]
    if result.sabotage:
        facts.append(f"sabotage {result.sabotage}")
    facts.append(result.started_at)
    yield text(x, 56, elided(" · ".join(filter(None, facts)), room, 12), "facts")
    yield text(24, 82, elided(in_short(result), RIGHT - 24, 14), "reason")


def _numbers(result: Result) -> Iterator[str]:
    found = _key_findings(result)
    if not found:
        return
    column = (RIGHT - 24) / max(5, len(found))
    yield line(24, 98, RIGHT, 98, "rule")
    for index, (name, finding) in enumerate(found):
        x, room = 24 + index * column, column - 12
        value, interval = _value_and_interval(finding)
        yield text(x, 117, elided(name.replace("_", " "), room, 11), "number-name")
        yield text(x, 138, elided(value, room, 18, bold=True), "number")
        yield text(x, 154, elided(interval, room, 11), "number-name")


def _value_and_interval(finding: Finding) -> tuple[str, str]:
    if finding.value is None or finding.low is None or finding.high is None:
        return "—", "not measured"
    if finding.value == float("inf"):
        return "never", f"watched for {format_value(finding.low, finding.unit)}"
    value = format_value(finding.value, finding.unit)
    if finding.low == finding.high:
        return value, "exact" if finding.unit is Unit.COUNT else f"of {finding.samples} operations"
    low = format_value(finding.low, finding.unit)
    return value, f"{low} to {format_value(finding.high, finding.unit)}"
