"""What a fault's parameters have to be where it is put: a target, a time and a load."""

from collections.abc import Sequence

from gameday.api.fault import Relative, Situated
from gameday.model.scenario import FaultStep, Target, WorkloadSpec

__all__ = ["situate"]


def situate(step: FaultStep, target: Target, workload: Sequence[WorkloadSpec]) -> None:
    """Raise Unfit for parameters of a step that cannot be where it is put."""
    if isinstance(step.fault, Situated):
        step.fault.situated(target, step.for_ns)
    if isinstance(step.fault, Relative) and workload:
        step.fault.beside(workload[0])
