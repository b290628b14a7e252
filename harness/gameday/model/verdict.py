"""The five verdicts and what each expectation came to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Judgement", "Verdict"]


class Verdict(StrEnum):
    """What a run can come to. "Found wrong" and "could not look" are never merged."""

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
    wanted: str
    seen: str
    margin: str
    verdict: Verdict
    sla: str | None = None
    source: str | None = None
    """Document and section of the promise, for people."""
    severity: str = "normal"
    doubt: str = ""
    """The noise that kept a broken or kept promise from being told; empty where it did not."""
