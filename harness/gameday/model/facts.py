"""Facts for people: `exit_code=137` becomes "exit code 137"."""

import math
from collections.abc import Mapping

from gameday.escaping import one_line
from gameday.model.event import Scalar
from gameday.model.units import format_duration

__all__ = ["details", "one_line"]


def details(values: Mapping[str, Scalar]) -> str:
    """Return what was asked or measured as prose: "signal SIGKILL, exit code 137"."""
    return ", ".join(_detail(name, value) for name, value in values.items())


def _detail(name: str, value: Scalar) -> str:
    words = one_line(name.removesuffix("_ns").replace("_", " "))
    if value is None:
        return f"{words} none"
    if isinstance(value, bool):
        return f"{words} {'yes' if value else 'no'}"
    if name.endswith("_ns") and isinstance(value, int | float):
        return f"{words} {format_duration(value)}"
    if isinstance(value, float) and math.isfinite(value):
        return f"{words} {value:.4g}"
    return f"{words} {one_line(str(value))}"
