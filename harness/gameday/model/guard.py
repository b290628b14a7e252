"""A validity guard that did not hold: why a measurement cannot be trusted."""

from dataclasses import dataclass

__all__ = ["Guard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One thing that was wrong with the measuring itself."""

    name: str
    text: str
    """One sentence with what was seen and what is allowed, for people."""
    slows: bool
    """Whether it makes a healthy system look slower or less available than it is.

    If so, a broken expectation about that is no evidence against the system.
    """
    voids: bool = True
    """Whether a PASS under it says nothing, so that the run is INCONCLUSIVE.

    A disk that stalls can only have made things look worse: what held all the same, held.
    """
