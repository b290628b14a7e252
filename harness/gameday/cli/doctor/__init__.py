"""What works on this host, and what each fault is going to use here."""

from gameday.cli.doctor.capabilities import Capability, can_run, examine, usual_runtime
from gameday.cli.doctor.requirements import RUNTIMES
from gameday.cli.doctor.table import report
from gameday.cli.doctor.uses import Use, uses

__all__ = ["RUNTIMES", "Capability", "Use", "can_run", "examine", "report", "uses", "usual_runtime"]
