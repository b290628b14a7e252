"""The five verdicts, and the judgement of each expectation."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Judgement", "Verdict"]


class Verdict(StrEnum):
    """The outcome of a run. "Found wrong" and "could not look" are never merged."""

    PASS = "PASS"  # noqa: S105
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    INVALID = "INVALID"
    ERROR = "ERROR"

    @classmethod
    def merge(cls, verdicts: Iterable["Verdict"]) -> "Verdict":
        """Return the worst: ERROR > INVALID > FAIL > INCONCLUSIVE > PASS; PASS of none."""
        order = list(cls)
        return max(verdicts, key=order.index, default=cls.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One expectation: what was wanted, what was seen, and by how much it held or broke."""

    name: str
    """Its name: a finding, or an SLA."""
    wanted: str
    """The limit."""
    seen: str
    """The finding, for people."""
    margin: str
    """By how much it held or broke."""
    verdict: Verdict
    """PASS, FAIL, INCONCLUSIVE, or INVALID where nothing was judged."""
    sla: str | None = None
    """The name of the SLA, if it is one."""
    source: str | None = None
    """Document and section of the promise, for people."""
    severity: str = "normal"
    """That of the SLA."""
    doubt: str = ""
    """The noise that kept it from being decided; empty where there was none."""
