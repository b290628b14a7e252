"""What a fault's parameters have to be where it is put: a target, a time and a load."""

from collections.abc import Sequence

from gameday.api.fault import BoundToWorkload, ValidatedInContext
from gameday.model.scenario import FaultStep, Target, WorkloadSpec

__all__ = ["validate_step"]


def validate_step(step: FaultStep, target: Target, workload: Sequence[WorkloadSpec]) -> None:
    """Raise InvalidParameter for parameters of a step that cannot be where it is put."""
    if isinstance(step.fault, ValidatedInContext):
        step.fault.validate_in_context(target, step.for_ns)
    if isinstance(step.fault, BoundToWorkload) and workload:
        step.fault.bind_to_workload(workload[0])
