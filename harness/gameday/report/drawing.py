"""Shapes, text and scales of an SVG picture, with everything that is text escaped."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gameday.report.labels import one_line

__all__ = [
    "LinearScale",
    "LogScale",
    "elided",
    "line",
    "nice_step",
    "polyline",
    "rect",
    "spread",
    "text",
    "text_width",
    "title",
]

_NARROW = frozenset("iljtf.,:;|!'()[] I")
_WIDE = frozenset("mwMW%@—")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScale:
    """Maps `low` to `start` and `high` to `end`, and everything outside onto the nearer one."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low or 1)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScale:
    """Maps powers of ten to equal steps; values have to be positive."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        linear = LinearScale(
            low=math.log10(self.low), high=math.log10(self.high), start=self.start, end=self.end
        )
        return linear(math.log10(max(value, self.low)))


def nice_step(span: float, wanted: int) -> float:
    """Return 1, 2 or 5 times a power of ten that cuts `span` into at most about `wanted` parts."""
    raw = span / max(1, wanted)
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)


def text_width(content: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a sans-serif text is at most, about: no font can be measured from here."""
    units = sum(0.31 if c in _NARROW else 0.88 if c in _WIDE else 0.58 for c in content)
    return units * size * (1.07 if bold else 1.0)


def elided(content: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return `content` on one line, cut so that it fits into `width`."""
    content = one_line(content)
    if text_width(content, size, bold=bold) <= width:
        return content
    while content and text_width(content + "…", size, bold=bold) > width:
        content = content[:-1]
    return content.rstrip() + "…"


def spread(
    wanted: Sequence[float], widths: Sequence[float], low: float, high: float
) -> list[float]:
    """Return centres near the `wanted` ones (sorted) at which boxes of `widths` do not overlap.

    Boxes that would overlap form a block, which is put where its members are nearest to their
    wishes. All of them have to fit between `low` and `high`.
    """
    blocks: list[tuple[float, float, list[int]]] = []
    for index, (centre, width) in enumerate(zip(wanted, widths, strict=True)):
        start, total, members = centre - width / 2, width, [index]
        while True:
            start = min(max(start, low), high - total)
            if not blocks or blocks[-1][0] + blocks[-1][1] <= start:
                break
            left_start, left_total, left_members = blocks.pop()
            count, left_count = len(members), len(left_members)
            # The mean of where each member would have the block start.
            start = (left_start * left_count + (start - left_total) * count) / (count + left_count)
            total, members = left_total + total, left_members + members
        blocks.append((start, total, members))
    centres = []
    for start, _, members in blocks:
        edge = start
        for index in members:
            centres.append(edge + widths[index] / 2)
            edge += widths[index]
    return centres


def text(x: float, y: float, content: str, css: str, *, anchor: str = "start") -> str:
    """Return a line of text whose baseline is at `y`."""
    where = f'x="{x:.1f}" y="{y:.1f}"'
    aligned = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text {where} class="{css}"{aligned}>{html.escape(one_line(content))}</text>'


def rect(x: float, y: float, width: float, height: float, css: str, hint: str = "") -> str:
    """Return a rectangle, with a hint that shows under the pointer and is read aloud."""
    where = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
    if not hint:
        return f'<rect {where} class="{css}"/>'
    return f'<rect {where} class="{css}">{title(hint)}</rect>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """Return a straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def polyline(points: Sequence[tuple[float, float]], css: str) -> str:
    """Return a line through `points`; a lone point becomes a short dash."""
    if len(points) == 1:
        (x, y) = points[0]
        points = [(x - 1, y), (x + 1, y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" class="{css}"/>'


def title(content: str) -> str:
    """Return what a reader is told of the element around it."""
    return f"<title>{html.escape(one_line(content))}</title>"
