"""Text with units at the edge, plain numbers inside: durations, rates, ratios and limits.

The marker classes (`Duration`, `Rate`, `Ratio`, `LimitText`) go into `Annotated[...]`; validation
by pydantic then parses the text. pydantic itself is imported only when a schema is asked for.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from gameday.model.clock import MICROSECOND, MILLISECOND, MINUTE, SECOND

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = [
    "DurationNs",
    "Limit",
    "LimitField",
    "RatePerS",
    "RatioField",
    "Unit",
    "format_duration",
    "format_value",
    "parse_duration",
    "parse_limit",
    "parse_rate",
    "parse_ratio",
]

_DURATION_UNITS = {
    "us": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "min": MINUTE,
    "h": 60 * MINUTE,
}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"{_NUMBER}\s*(us|ms|s|min|h)")
_RATE = re.compile(rf"{_NUMBER}\s*/\s*(s|min)")
_RATIO = re.compile(rf"{_NUMBER}\s*%")
_LIMIT = re.compile(r"(<=|>=|==|<|>)\s*(.+)")


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
        raise ValueError(
            f"{text!r} is not a duration; "
            f"write a number and one of {', '.join(_DURATION_UNITS)}, such as '2s'"
        )
    return round(float(match[1]) * _DURATION_UNITS[match[2]])


def parse_rate(text: str) -> float:
    """Return the operations per second of a text such as "200/s" or "30/min"."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write a number and '/s' or '/min': '200/s'")
    return float(match[1]) / (1 if match[2] == "s" else 60)


def parse_ratio(text: str) -> float:
    """Return the ratio, from 0 to 1, of a text such as "99.5%"."""
    match = _RATIO.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise ValueError(f"{text!r} is not a share; write a percentage from 0% to 100%")
    return float(match[1]) / 100


def parse_limit(text: str) -> Limit:
    """Return the limit of a text such as "<= 2s", "> 99%" or "== 0"."""
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a limit; write <, <=, >, >= or == and a value: '<= 2s'")
    op, amount = match[1], match[2].strip()
    for unit, parse in ((Unit.NS, parse_duration), (Unit.RATIO, parse_ratio)):
        try:
            return Limit(op=op, value=parse(amount), unit=unit, text=text.strip())
        except ValueError:
            continue
    try:
        return Limit(op=op, value=float(int(amount)), unit=Unit.COUNT, text=text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a limit; its value is a duration ('2s'), a percentage ('99%') "
            "or a whole number"
        ) from None


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


def format_value(value: float, unit: Unit) -> str:
    """Return `value` as people write it, in its unit."""
    match unit:
        case Unit.NS:
            return format_duration(value)
        case Unit.RATIO:
            return f"{value * 100:.4g} %"
        case Unit.COUNT:
            return f"{value:,.0f}".replace(",", " ")


@dataclass(frozen=True, slots=True)
class _Text:
    """Marks a field whose YAML is text with a unit; `parse` turns the text into the number."""

    parse: Callable[[str], Any]  # type: ignore[explicit-any]
    example: str

    def __get_pydantic_core_schema__(  # type: ignore[explicit-any]
        self, source: Any, handler: Any
    ) -> "CoreSchema":
        from pydantic_core import core_schema  # only when a scenario is asked for: 50 ms

        def validate(value: object) -> object:
            if not isinstance(value, str):
                raise ValueError(f"{value!r} has no unit; write text such as '{self.example}'")
            return self.parse(value)

        return core_schema.no_info_plain_validator_function(
            validate,
            metadata={
                "pydantic_js_functions": [
                    lambda _schema, _handler: {
                        "type": "string",
                        "examples": [self.example],
                    }
                ]
            },
        )


DurationNs = Annotated[int, _Text(parse_duration, "2s")]
RatePerS = Annotated[float, _Text(parse_rate, "200/s")]
RatioField = Annotated[float, _Text(parse_ratio, "99%")]
LimitField = Annotated[Limit, _Text(parse_limit, "<= 2s")]
