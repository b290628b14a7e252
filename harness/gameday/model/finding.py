"""A measured value that is never given without its bounds."""

from dataclasses import dataclass

from gameday.model.units import Unit, format_value

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A value with the interval that the truth lies in, and what that rests on.

    `value`, `low` and `high` are in `unit`; all three are None when it could not be measured, and
    `value` and `high` are `math.inf` for what never happened while it was watched for `low`.
    """

    name: str
    """Its name."""
    value: float | None
    """The value, in `unit`."""
    low: float | None
    """The lower bound."""
    high: float | None
    """The upper bound."""
    unit: Unit
    """ns, ratio or count."""
    samples: int
    """The operations, connections or trials that the value rests on."""
    resolution: float
    """The smallest difference that could have been seen, in `unit`."""
    evidence: str
    """One sentence that lets a reader check the value."""

    @classmethod
    def unmeasured(cls, name: str, unit: Unit, why: str) -> "Finding":
        """Return the finding that says why nothing could be found."""
        return cls(
            name=name,
            value=None,
            low=None,
            high=None,
            unit=unit,
            samples=0,
            resolution=0,
            evidence=why,
        )

    @classmethod
    def count(cls, name: str, value: int, *, samples: int, evidence: str) -> "Finding":
        """Return an exact count."""
        return cls(
            name=name,
            value=value,
            low=value,
            high=value,
            unit=Unit.COUNT,
            samples=samples,
            resolution=1,
            evidence=evidence,
        )

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "not measured"
        if self.value == float("inf"):
            return f"never within {format_value(self.low, self.unit)}"
        text = format_value(self.value, self.unit)
        low, high = format_value(self.low, self.unit), format_value(self.high, self.unit)
        return text if low == high else f"{text} ({low} to {high})"
