"""What weakens a measurement: guards that failed, and the doubt that noise leaves."""

from dataclasses import dataclass

__all__ = ["Doubt", "Guard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One thing that was wrong with the measurement as a whole, so that nothing can pass."""

    name: str
    text: str
    """One sentence with what was seen and what is allowed, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """The bounds that a finding may have, given what noise can have done to it.

    A verdict on the finding stands if it is the same within all of these bounds.
    """

    low: float
    high: float
    why: str
    """What the noise was, with numbers."""
