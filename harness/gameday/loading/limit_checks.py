"""Checks that limits fit the units of findings."""

import math

from gameday.loading.source import Source, Where, quoted
from gameday.model.clock import MILLISECOND, MINUTE
from gameday.model.invalid_parameter import InvalidParameter, require
from gameday.model.units import Limit, Unit

__all__ = ["complain_of_limit", "complain_of_spans"]

_CALLED = {Unit.NS: "a duration", Unit.RATIO: "a percentage", Unit.COUNT: "a whole number"}
_RANGE = {Unit.NS: (0, math.inf), Unit.RATIO: (0, 1), Unit.COUNT: (0, math.inf)}
"""The least and the most that a finding can be."""
_SUCH_AS = {Unit.NS: "<= 2s", Unit.RATIO: ">= 99%", Unit.COUNT: "== 0"}

_LEAST_NS = 100 * MILLISECOND
_HOUR = 60 * MINUTE
_SPANS = {
    "steady": {"for": (_LEAST_NS, 10 * MINUTE, "100ms to 10min")},
    "timeline": {
        "baseline": (_LEAST_NS, _HOUR, "100ms to 1h"),
        "recovery": (_LEAST_NS, 24 * _HOUR, "100ms to 24h"),
        "quiet": (0, 10 * MINUTE, "at most 10min"),
    },
    "safety": {"longest": (_LEAST_NS, 24 * _HOUR, "100ms to 24h")},
}
"""By part and key: the least, the most, and both in words."""


def complain_of_limit(source: Source, where: Where, limit: Limit, unit: str, name: str) -> None:
    """Note it when a limit is not in its finding's unit, or when nothing or all could keep it."""
    wanted = Unit(unit)
    if limit.unit != unit:
        source.complain(
            where,
            f"{quoted(limit.text)} is {_CALLED[limit.unit]}, but {name} is {_CALLED[wanted]}; "
            f"write it as in {_SUCH_AS[wanted]!r}",
        )
        return
    least, most = _RANGE[wanted]
    within = limit.op == "==" and least <= limit.value <= most
    ends = (limit.holds(least), limit.holds(most))
    if not (any(ends) or within) or all(ends):
        does = "every value satisfies" if all(ends) else "no value can satisfy"
        text = f"{does} {quoted(limit.text)}; write it as in {_SUCH_AS[wanted]!r}"
        source.complain(where, text)


def complain_of_spans(source: Source, part: str, value: object) -> None:
    """Note the spans in a part of a file that are too short to mean anything, or endless.

    A span that is None was complained about.
    """
    try:
        require(
            *(
                (key, least <= span_ns <= most, wanted)
                for key, (least, most, wanted) in _SPANS[part].items()
                if (span_ns := getattr(value, f"{key}_ns")) is not None
            )
        )
    except InvalidParameter as error:
        source.complain_of_invalid((part,), error.misfits)
