"""Text with units at the edge, plain numbers inside: durations, rates, ratios and limits.

`DurationNs`, `RatePerS`, `SizeBytes`, `BytesPerS`, `RatioField` and those of `LIMITS` are field
types whose YAML is text with a unit and whose value is the plain number. An error says what is
valid and the nearest valid text.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from gameday.model.clock import MICROSECOND, MILLISECOND, MINUTE, SECOND
from gameday.model.unit_hints import (
    near_byte_rate,
    near_count,
    near_duration,
    near_offset,
    near_rate,
    near_ratio,
    near_size,
)
from gameday.model.unit_text import NUMBER, UnitText

__all__ = [
    "LIMITS",
    "BytesPerS",
    "DurationLimit",
    "DurationNs",
    "Limit",
    "OffsetNs",
    "RatePerS",
    "RatioField",
    "RatioLimit",
    "SizeBytes",
    "Unit",
    "exact_duration",
    "format_duration",
    "format_value",
    "parse_byte_rate",
    "parse_duration",
    "parse_limit",
    "parse_offset",
    "parse_rate",
    "parse_ratio",
    "parse_size",
]

_DURATION_UNITS = {
    "us": MICROSECOND,
    "µs": MICROSECOND,  # the micro sign, and the Greek letter: both are typed
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "min": MINUTE,
    "h": 60 * MINUTE,
}
_DURATION_NAMES = "us, ms, s, min, h"
_OP_WORDS = {"=": "==", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">="}
_DEFAULT_OPS = {"ns": "<=", "ratio": ">=", "count": "=="}
_DURATION = re.compile(rf"{NUMBER}\s*(us|µs|μs|ms|s|min|h)")
_RATE = re.compile(rf"{NUMBER}\s*/\s*(s|min)")
_SIZE_UNITS = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_SIZE = re.compile(rf"{NUMBER}\s*([kMG]?B|[KMG]iB)")
_RATIO = re.compile(rf"{NUMBER}\s*%")
_COUNT = re.compile(r"[0-9]{1,15}")
_LIMIT = re.compile(r"(<=|>=|==|<|>)\s*(.+)")
_NEARLY_LIMIT = re.compile(r"(<=|>=|==|=<|=>|<|>|=|≤|≥|)\s*(.+)")
_LONGEST_NS = 2**63 - 1
_EXACT = (("min", MINUTE, 2), ("s", SECOND, 6), ("ms", MILLISECOND, 3), ("us", MICROSECOND, 3))
"""Units, the largest first, and how many digits behind the point are read easily."""


class Unit(StrEnum):
    """What a finding or a limit is counted in."""

    NS = "ns"
    RATIO = "ratio"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A comparison that a finding has to satisfy, such as "<= 2s" or "> 99%"."""

    op: str
    value: float
    unit: Unit
    text: str

    def holds(self, value: float) -> bool:
        """Tell whether `value`, in this limit's unit, is inside the limit."""
        return {
            "<": value < self.value,
            "<=": value <= self.value,
            ">": value > self.value,
            ">=": value >= self.value,
            "==": value == self.value,
        }[self.op]

    @property
    def wants_less(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.op in ("<", "<=", "==")


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a text such as "500ms", "2s" or "1.5min".

    Raises ValueError when the text has no unit or an unknown one.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise _DURATION_TEXT.refusal(text)
    duration_ns = round(float(match[1]) * _DURATION_UNITS[match[2]])
    if duration_ns > _LONGEST_NS:
        raise ValueError(f"{text!r} is longer than 292 years")
    return duration_ns


def parse_offset(text: str) -> int:
    """Return the nanoseconds of a text such as "+5min" or "-30s"; the sign is never left out."""
    sign, rest = text.strip()[:1], text.strip()[1:]
    if sign not in ("+", "-") or _DURATION.fullmatch(rest.strip()) is None:
        raise _OFFSET_TEXT.refusal(text)
    duration_ns = parse_duration(rest)
    return -duration_ns if sign == "-" else duration_ns


def parse_rate(text: str) -> float:
    """Return the operations per second of a text such as "200/s" or "30/min"; never zero."""
    match = _RATE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise _RATE_TEXT.refusal(text)
    return float(match[1]) / (1 if match[2] == "s" else 60)


def parse_size(text: str) -> int:
    """Return the bytes of a text such as "64kB" (1000 a kB) or "1MiB" (1024 * 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise _SIZE_TEXT.refusal(text)
    return round(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_byte_rate(text: str) -> int:
    """Return the bytes per second of a text such as "64kB/s"; "0kB/s" is none at all."""
    size, slash, per = text.strip().partition("/")
    if not slash or per.strip() != "s" or _SIZE.fullmatch(size.strip()) is None:
        raise _BYTE_RATE_TEXT.refusal(text)
    return parse_size(size)


def parse_ratio(text: str) -> float:
    """Return the ratio, from 0 to 1, of a text such as "99.5%"."""
    match = _RATIO.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise _RATIO_TEXT.refusal(text)
    return float(match[1]) / 100


def parse_limit(text: str, of: Unit | None = None) -> Limit:
    """Return the limit of a text such as "<= 2s", "> 99%" or "== 0"; `of` is the unit meant."""
    match = _LIMIT.fullmatch(text.strip())
    amount = None if match is None else _amount(match[2].strip())
    if match is None or amount is None:
        raise (_LIMIT_TEXT if of is None else _LIMIT_TEXTS[of]).refusal(text)
    value, unit = amount
    return Limit(op=match[1], value=value, unit=unit, text=text.strip())


def _amount(text: str) -> tuple[float, Unit] | None:
    try:
        if text.endswith("%"):
            return parse_ratio(text), Unit.RATIO
        if _COUNT.fullmatch(text):
            return float(text), Unit.COUNT
        return parse_duration(text), Unit.NS
    except ValueError:
        return None


def _nearest_limit(text: str, of: Unit | None = None) -> str | None:
    match = _NEARLY_LIMIT.fullmatch(text.strip())
    if match is None:
        return None
    seen = match[2].strip()
    known = _amount(seen)
    amount: str | None = seen
    if of is Unit.RATIO and (known is None or known[1] is Unit.COUNT):
        amount = near_ratio(seen)
    elif of is Unit.COUNT and known is None:
        amount = near_count(seen)
    elif known is None:
        # Without a unit it may be anything.
        amount = None if re.fullmatch(r"[0-9.,_]*", seen) else near_duration(seen)
    elif of is Unit.NS and known[1] is Unit.COUNT:
        amount = None
    known = None if amount is None else _amount(amount)
    if known is None:
        return None
    op = _OP_WORDS.get(match[1], match[1]) or _DEFAULT_OPS[known[1]]
    return f"{op} {amount}"


def format_duration(duration_ns: float) -> str:
    """Return a duration as people write it, with three significant digits: "3.02 s", "250 ms"."""
    if math.isinf(duration_ns):
        return "never" if duration_ns > 0 else "-never"
    size = abs(duration_ns)
    if size < 0.0005 * MILLISECOND:
        return "0 ms"
    if size < SECOND:
        return f"{duration_ns / MILLISECOND:.3g} ms"
    if size < 2 * MINUTE:
        return (
            f"{duration_ns / SECOND:.3g} s"
            if size < 100 * SECOND
            else (f"{duration_ns / SECOND:.0f} s")
        )
    return f"{duration_ns / MINUTE:.3g} min"


def exact_duration(duration_ns: int) -> str:
    """Return a duration with all of its digits, in words that `parse_duration` takes back."""
    for unit, size, digits in _EXACT:
        if duration_ns >= size and duration_ns * 10**digits % size == 0:
            whole, rest = divmod(duration_ns, size)
            part = f"{rest * 10**digits // size:0{digits}d}".rstrip("0") if rest else ""
            return f"{whole}.{part} {unit}" if part else f"{whole} {unit}"
    return "0 s" if duration_ns == 0 else f"{duration_ns / MICROSECOND:.3f} us"


def format_value(value: float, unit: Unit) -> str:
    """Return `value` as people write it, in its unit."""
    match unit:
        case Unit.NS:
            return format_duration(value)
        case Unit.RATIO:
            return f"{value * 100:.4g} %"
        case Unit.COUNT:
            return f"{value:,.0f}".replace(",", " ")


_DURATION_TEXT = UnitText(
    "a duration",
    f"a number and one of {_DURATION_NAMES}",
    "2s",
    parse_duration,
    near_duration,
)
_OFFSET_TEXT = UnitText(
    "a duration with a sign",
    f"+ or -, a number and one of {_DURATION_NAMES}",
    "+5min",
    parse_offset,
    near_offset,
)
_RATE_TEXT = UnitText(
    "a rate", "a number above 0 and '/s' or '/min'", "200/s", parse_rate, near_rate
)
_SIZE_TEXT = UnitText(
    "a size",
    f"a number and one of {', '.join(_SIZE_UNITS)}",
    "64kB",
    parse_size,
    near_size,
)
_BYTE_RATE_TEXT = UnitText(
    "a byte rate",
    f"a number, one of {', '.join(_SIZE_UNITS)}, and '/s'",
    "64kB/s",
    parse_byte_rate,
    near_byte_rate,
)
_RATIO_TEXT = UnitText("a share", "a percentage from 0% to 100%", "99%", parse_ratio, near_ratio)


def _limit_text(amount: str, example: str, of: Unit | None = None) -> UnitText:
    return UnitText(
        "a limit",
        f"<, <=, >, >= or == and {amount}, such as {example!r}",
        example,
        lambda text: parse_limit(text, of),
        lambda text: _nearest_limit(text, of),
    )


_LIMIT_TEXT = _limit_text("a duration, a percentage or a whole number", "<= 2s")
_LIMIT_TEXTS = {
    Unit.NS: _limit_text("a duration", "<= 2s", Unit.NS),
    Unit.RATIO: _limit_text("a percentage", ">= 99%", Unit.RATIO),
    Unit.COUNT: _limit_text("a whole number", "== 0", Unit.COUNT),
}

DurationNs = Annotated[int, _DURATION_TEXT]
OffsetNs = Annotated[int, _OFFSET_TEXT]
RatePerS = Annotated[float, _RATE_TEXT]
SizeBytes = Annotated[int, _SIZE_TEXT]
BytesPerS = Annotated[int, _BYTE_RATE_TEXT]
RatioField = Annotated[float, _RATIO_TEXT]
DurationLimit = Annotated[Limit, _LIMIT_TEXTS[Unit.NS]]
RatioLimit = Annotated[Limit, _LIMIT_TEXTS[Unit.RATIO]]
LIMITS: Mapping[Unit, object] = {
    Unit.NS: DurationLimit,
    Unit.RATIO: RatioLimit,
    Unit.COUNT: Annotated[Limit, _LIMIT_TEXTS[Unit.COUNT]],
}
"""The field type of a limit in each unit."""
