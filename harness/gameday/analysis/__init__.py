"""Turns the observation of a run into findings: pure functions, no clock and no I/O."""

from gameday.analysis.assembly import FINDINGS, Analysis, analyse, failed_guards
from gameday.analysis.exposure import exposed
from gameday.analysis.guards import Facts

__all__ = ["FINDINGS", "Analysis", "Facts", "analyse", "exposed", "failed_guards"]
