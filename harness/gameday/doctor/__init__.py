"""What works on this host, and what each fault is going to use here."""

from gameday.doctor.capabilities import Capability, can_run, examine, usual_runtime
from gameday.doctor.table import report
from gameday.doctor.uses import RUNTIMES, Use, uses

__all__ = ["RUNTIMES", "Capability", "Use", "can_run", "examine", "report", "uses", "usual_runtime"]
