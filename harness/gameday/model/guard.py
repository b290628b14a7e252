"""What speaks against a measurement: guards that did not hold, and the doubt that noise leaves."""

from dataclasses import dataclass

__all__ = ["Doubt", "Guard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One thing that was wrong with the measuring as a whole: nothing passes under it."""

    name: str
    text: str
    """One sentence with what was seen and what is allowed, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Between which bounds a finding may lie, for all that noise can have done to it.

    A verdict on the finding stands where the whole of it comes to the same.
    """

    low: float
    high: float
    why: str
    """What the noise was, with numbers."""
