"""The panels of the timeline, which share one time axis: lanes, rate, latency and the marks."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from gameday.model.event import Phase
from gameday.model.result import Result, TimeSeries
from gameday.model.units import Unit, format_duration, format_value, parse_limit
from gameday.report.drawing import (
    LinearScale,
    LogScale,
    elided,
    line,
    nice_step,
    polyline,
    rect,
    spread,
    text,
    text_width,
)
from gameday.report.labels import (
    MARKS,
    OUTCOMES,
    duration_of,
    fault_name,
    seconds,
    window_of,
)

__all__ = ["LANE", "LANES_TOP", "LEFT", "RIGHT", "WIDTH", "Bar", "Panels", "lanes_of", "time_scale"]

WIDTH = 1200
LEFT, RIGHT = 92.0, 1176.0
LANES_TOP, LANE = 232.0, 19.0

_SHOWN_PHASES = (Phase.BASELINE, Phase.BREAK, Phase.RECOVER, Phase.SETTLE)
_BAR_PX = 3.0
"""Slots narrower than this are drawn together: thinner bars cannot be told apart."""

_GAP_PX = 2.0
"""A shorter pause of service is narrower than the line that is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span in one of the lanes above the panels."""

    start_ns: int
    end_ns: int
    label: str
    css: str


def lanes_of(result: Result) -> list[tuple[str, list[Bar]]]:
    """Return the lanes by name: phases, one per fault, and what recovery is split into."""
    phases = [
        Bar(
            start_ns=result.phases[phase].start_ns,
            end_ns=result.phases[phase].end_ns,
            label=f"{phase.number} {phase.value}",
            css=f"phase{index % 2}",
        )
        for index, phase in enumerate(_SHOWN_PHASES)
        if phase in result.phases
    ]
    lanes = [("phase", phases)] if phases else []
    for fault in result.faults:
        if fault.window is None:
            continue
        actual = fault.window.end_ns - fault.window.start_ns
        declared = duration_of(fault.asked)
        lasted = f"{seconds(actual)} actual"
        if declared is not None:
            lasted = f"{seconds(declared, 1)}, actual {seconds(actual)}"
        proof = "" if fault.proven else ", NOT PROVEN"
        label = f"{fault_name(fault)} {lasted}{proof}"
        start_ns, end_ns = fault.window.start_ns, fault.window.end_ns
        bar = Bar(start_ns=start_ns, end_ns=end_ns, label=label, css="fault")
        lanes.append(("fault", [bar]))
    marks = result.marks
    outages = [(outage.start_ns, outage.end_ns) for outage in result.outages]
    for name, spans in (("outage", outages), ("recovery", [(marks.t0, marks.t6)])):
        bars = [
            Bar(
                start_ns=start_ns,
                end_ns=end_ns,
                label=f"{name} {format_duration(end_ns - start_ns)}",
                css=name,
            )
            for start_ns, end_ns in spans
            if start_ns is not None and end_ns is not None
        ]
        if bars:
            lanes.append((name, bars))
    return lanes


def time_scale(result: Result) -> LinearScale:
    """Return the axis that holds the load, the faults and the marks."""
    moments = [at for at in (getattr(result.marks, name) for name in MARKS) if at is not None]
    for fault in result.faults:
        if fault.window is not None:
            moments += [fault.window.start_ns, fault.window.end_ns]
    shown = [result.phases[phase] for phase in _SHOWN_PHASES if phase in result.phases]
    for window in shown:
        moments += [window.start_ns, window.end_ns]
    if result.series is not None and result.series.ok:
        series = result.series
        moments += [series.start_ns, series.start_ns + series.slot_ns * len(series.ok)]
    low, high = (min(moments), max(moments)) if moments else (0, 1_000_000_000)
    return LinearScale(low=low, high=max(high, low + 1_000_000), start=LEFT, end=RIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panels:
    """The panels, which share the time axis `x`; each panel is a (top, bottom)."""

    result: Result
    x: LinearScale
    rate: tuple[float, float]
    latency: tuple[float, float]

    def bands(self) -> Iterator[str]:
        for fault in self.result.faults:
            if fault.window is None:
                continue
            start, end = self.x(fault.window.start_ns), self.x(fault.window.end_ns)
            hint = f"{fault_name(fault)}, {window_of(fault)}"
            for top, bottom in (self.rate, self.latency):
                yield rect(start, top, max(end - start, 1), bottom - top, "band", hint)

    def lanes(self, lanes: list[tuple[str, list[Bar]]]) -> Iterator[str]:
        for index, (name, bars) in enumerate(lanes):
            y = LANES_TOP + index * LANE
            yield text(LEFT - 10, y + 12, name, "tick", anchor="end")
            for bar in bars:
                start, end = self.x(bar.start_ns), self.x(bar.end_ns)
                yield rect(start, y, max(end - start, 2), LANE - 4, bar.css, bar.label)
                yield self._bar_label(bar, start, end, y + 11.5, alone=len(bars) == 1)

    def _bar_label(self, bar: Bar, start: float, end: float, y: float, *, alone: bool) -> str:
        """Return the label in its bar, or, where the lane is its own, beside it."""
        width, room = text_width(bar.label, 11), end - start - 8
        if width <= room:
            return text((start + end) / 2, y, bar.label, "lane", anchor="middle")
        if not alone:
            # A phase too short for its name is known by its number.
            number = bar.label.split()[0]
            return text((start + end) / 2, y, number, "lane", anchor="middle") if room > 0 else ""
        if end + 6 + width <= RIGHT:
            return text(end + 6, y, bar.label, "lane")
        return text(start - 6, y, elided(bar.label, start - LEFT, 11), "lane", anchor="end")

    def rate_panel(self) -> Iterator[str]:
        top, bottom = self.rate
        yield text(LEFT, top - 7, "Operations per second", "panel")
        series = self.result.series
        if series is None or not series.ok:
            yield from _empty(top, bottom)
            return
        merged = _merged(series, self.x)
        peak = max(map(sum, zip(merged.ok, merged.failed, merged.unknown, strict=True)))
        slot_s = merged.slot_ns / 1e9
        y = LinearScale(low=0, high=max(1, peak) / slot_s * 1.12, start=bottom, end=top)
        step = nice_step(y.high, 4)
        for tick in range(int(y.high / step) + 1):
            yield line(LEFT, y(tick * step), RIGHT, y(tick * step), "grid")
            yield text(LEFT - 10, y(tick * step) + 4, f"{tick * step:g}", "tick", anchor="end")
        below = [0] * len(merged.ok)
        for name, counts in (
            ("ok", merged.ok),
            ("failed", merged.failed),
            ("unknown", merged.unknown),
        ):
            path = self._bars(merged, y, below, counts)
            if path:
                said = OUTCOMES[name]
                yield f'<path d="{path}" class="{name}"><title>{said}</title></path>'
            below = [a + b for a, b in zip(below, counts, strict=True)]
        yield from _legend(series, top)

    def _bars(
        self, series: TimeSeries, y: LinearScale, below: list[int], counts: tuple[int, ...]
    ) -> str:
        """Return the path of one outcome's bars; equal neighbours are one bar."""
        slot_s = series.slot_ns / 1e9
        path: list[str] = []
        index = 0
        while index < len(counts):
            end = index + 1
            while end < len(counts) and (counts[end], below[end]) == (counts[index], below[index]):
                end += 1
            if counts[index]:
                x1 = self.x(series.start_ns + index * series.slot_ns)
                x2 = self.x(series.start_ns + end * series.slot_ns)
                y1, y2 = y(below[index] / slot_s), y((below[index] + counts[index]) / slot_s)
                path.append(f"M{x1:.1f},{y1:.1f}V{y2:.1f}H{x2:.1f}V{y1:.1f}Z")
            index = end
        return "".join(path)

    def latency_panel(self) -> Iterator[str]:
        top, bottom = self.latency
        yield text(LEFT, top - 7, "Response latency from when it was due, log scale", "panel")
        series = self.result.series
        limit = _steady_p99(self.result)
        seen = [] if series is None else [v for v in (*series.p50_ns, *series.p99_ns) if v]
        if series is None or not seen:
            yield from _empty(top, bottom)
            return
        y = _latency_scale([*seen, *([limit] if limit else [])], top, bottom)
        decade = y.low
        while decade <= y.high:
            yield line(LEFT, y(decade), RIGHT, y(decade), "grid")
            yield text(LEFT - 10, y(decade) + 4, format_duration(decade), "tick", anchor="end")
            decade *= 10
        if limit:
            label = f"steady: p99 {self.result.steady['p99']}"
            yield line(LEFT, y(limit), RIGHT, y(limit), "limit")
            yield text(RIGHT, y(limit) - 5, label, "halo limit-text", anchor="end")
        for name, values in (("p99", series.p99_ns), ("p50", series.p50_ns)):
            for points in self._segments(series, values, y):
                yield polyline(points, name)
        yield from _latency_legend(top)

    def _segments(
        self, series: TimeSeries, values: tuple[int | None, ...], y: LogScale
    ) -> Iterator[list[tuple[float, float]]]:
        """Return the unbroken runs of points: where nothing was served is a gap, not a line."""
        points: list[tuple[float, float]] = []
        for index, value in enumerate(values):
            if not value:
                continue
            x = self.x(series.start_ns + (index + 0.5) * series.slot_ns)
            gap_px = 0 if not points else x - points[-1][0]
            if index and not values[index - 1] and gap_px > _GAP_PX:
                yield _thinned(points)
                points = []
            points.append((x, y(value)))
        if points:
            yield _thinned(points)

    def time_axis(self) -> Iterator[str]:
        if self.result.series is None and not self.result.phases:
            return
        bottom = self.latency[1]
        yield line(LEFT, bottom, RIGHT, bottom, "axis")
        low_s, high_s = self.x.low / 1e9, self.x.high / 1e9
        step = nice_step(high_s - low_s, 14)
        tick = -(-low_s // step)
        while tick * step <= high_s + step * 1e-6:
            x = self.x(tick * step * 1e9)
            yield line(x, bottom, x, bottom + 5, "axis")
            yield text(x, bottom + 18, f"{tick * step:g}", "tick", anchor="middle")
            tick += 1
        middle = (LEFT + RIGHT) / 2
        words = "seconds since the start of the run"
        yield text(middle, bottom + 36, words, "tick", anchor="middle")

    def marks(self) -> Iterator[str]:
        moments = [(name, getattr(self.result.marks, name)) for name in MARKS]
        # Which moment comes first is up to the system: t5 may well be before t3.
        there = sorted((at_ns, name) for name, at_ns in moments if at_ns is not None)
        widths = [max(text_width(MARKS[name], 11), 62) + 14 for _, name in there]
        lines = [self.x(at_ns) for at_ns, _ in there]
        centres = spread(lines, widths, 16, WIDTH - 8)
        for (at_ns, name), x, centre in zip(there, lines, centres, strict=True):
            yield text(centre, 185, f"{name}  {seconds(at_ns, 3)}", "mark", anchor="middle")
            yield text(centre, 199, MARKS[name], "number-name", anchor="middle")
            yield polyline([(centre, 204.0), (x, LANES_TOP - 7), (x, LANES_TOP - 1)], "mark-line")
            # Between the panels stand the labels, which no line may cross.
            for top, bottom in (self.rate, self.latency):
                yield line(x, top, x, bottom, "mark-line")


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the lowest and the highest point of each pixel: more cannot be seen."""
    kept = []
    for _, column in itertools.groupby(points, key=lambda point: int(point[0])):
        by_height = sorted(column, key=lambda point: point[1])
        kept += sorted({by_height[0], by_height[-1]})
    return kept


def _empty(top: float, bottom: float) -> Iterator[str]:
    yield line(LEFT, bottom, RIGHT, bottom, "grid")
    middle = (LEFT + RIGHT) / 2
    yield text(middle, (top + bottom) / 2, "no operations were recorded", "tick", anchor="middle")


def _legend(series: TimeSeries, top: float) -> Iterator[str]:
    counts = (("ok", series.ok), ("failed", series.failed), ("unknown", series.unknown))
    x = RIGHT
    for name, values in reversed(counts):
        label = f"{OUTCOMES[name]} {format_value(sum(values), Unit.COUNT)}"
        x -= text_width(label, 11)
        yield text(x, top - 7, label, "lane")
        x -= 22
        yield rect(x, top - 17, 16, 11, f"{name} swatch")
        x -= 18


def _latency_legend(top: float) -> Iterator[str]:
    x = RIGHT - 130
    for name in ("p50", "p99"):
        yield polyline([(x, top - 11), (x + 26, top - 11)], name)
        yield text(x + 32, top - 7, name, "lane")
        x += 76


def _latency_scale(values: list[int], top: float, bottom: float) -> LogScale:
    low = 1.0
    while low * 10 <= min(values):
        low *= 10
    # Room above the highest value for the label of the limit.
    high = max(max(values) * 2.5, low * 12)
    return LogScale(low=low, high=high, start=bottom, end=top)


def _steady_p99(result: Result) -> int | None:
    """Return the limit that the steady state puts on p99, if it is known."""
    try:
        limit = parse_limit(result.steady.get("p99", ""))
    except ValueError:
        return None
    return round(limit.value) if limit.unit is Unit.NS and limit.value > 0 else None


def _merged(series: TimeSeries, x: LinearScale) -> TimeSeries:
    """Return the series in slots that are wide enough to be drawn; latencies are left out."""
    slot_px = x(x.low + series.slot_ns) - x(x.low)
    by = min(len(series.ok), max(1, math.ceil(_BAR_PX / slot_px))) if slot_px else len(series.ok)

    # The last slot may be made of fewer; leaving it out is better than drawing it too low.
    whole = len(series.ok) // by * by

    def added(counts: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sum(counts[i : i + by]) for i in range(0, whole, by))

    return TimeSeries(
        start_ns=series.start_ns,
        slot_ns=series.slot_ns * by,
        ok=added(series.ok),
        failed=added(series.failed),
        unknown=added(series.unknown),
        p50_ns=(),
        p99_ns=(),
    )
