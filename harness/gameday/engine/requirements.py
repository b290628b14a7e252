"""What a run needs of its host and environment, and what is missing of it."""

import functools
import operator
from collections.abc import Iterator

from gameday.api.environment import Features
from gameday.api.fault import HasRequirements, Requirements
from gameday.api.mechanism import trial
from gameday.faults.noop import Noop
from gameday.model.plan import Plan
from gameday.model.scenario import FaultSpec, FaultStep, Scenario, Target
from gameday.registry import KINDS
from gameday.runtimes.program import is_bundled, is_program, program_image

__all__ = ["features_of", "missing", "real", "requirements_of"]


def features_of(scenario: Scenario, runtime: str) -> Features:
    """Return what the environment must have from its start for all of the scenario's faults."""
    requirements = (requirements_of(step, runtime).features for step in scenario.faults)
    return functools.reduce(operator.or_, requirements, Features())


def missing(scenario: Scenario, target: Target, plan: Plan) -> Iterator[str]:
    """Yield what this host or the chosen environment lacks for each fault, with the cure."""
    bounded = {s.name for s in target.services if s.disk_bytes is not None}
    for spec in target.services:
        if absent := KINDS[spec.kind].client_missing():
            yield f"{spec.name}: {absent.seen}; {absent.cure}"
        if spec.program is None or (plan.runtime == "docker" and spec.image is not None):
            continue
        if not is_program(spec):
            yield f"{spec.name}: Python has no module {spec.program!r} to run; install it"
        elif plan.runtime == "docker" and not (is_bundled(spec) or program_image(spec)):
            yield (
                f"{spec.name}: {spec.program!r} is installed on this host, which no container "
                "sees; put it beside target.yaml, or name an image that has it by `image:`"
            )
    for number, step in enumerate(scenario.faults):
        fault = real(step)
        requirements = requirements_of(step, plan.runtime)
        who = f"{fault.verb} of {fault.target}"
        if requirements.impossible:
            yield f"{who}: {requirements.impossible}"
        if requirements.bounded_disk and fault.target not in bounded:
            yield (
                f"{who}: its data is on the host's disk; add `disk: 64MB` to give it a volume of "
                "its own"
            )
        if requirements.hosts_disk and fault.target in bounded:
            yield f"{who}: its volume is in memory, not on the host's disk; remove `disk:`"
        if requirements.features.own_proxy and plan.proxy != "own":
            yield (
                f"{who}: {plan.proxy} cannot do this, or not in a way that can be proven; "
                "gameday's own proxy can: remove --gameday-proxy"
            )
        if not plan.faults[number].met_by:
            yield f"{who}: no workload or probe traffic passes through it"
        for mechanism in requirements.mechanisms:
            tried = trial(mechanism)
            if not tried.works and not mechanism.instead:
                yield f"{who} needs {mechanism.name}: {tried.seen}; {tried.cure}"


def requirements_of(step: FaultStep, runtime: str) -> Requirements:
    """Return what a step's fault needs in that runtime; a no-op needs what it stands in for."""
    fault = real(step)
    return fault.requirements(runtime) if isinstance(fault, HasRequirements) else Requirements()


def real(step: FaultStep) -> FaultSpec:
    """Return the fault itself: a no-op is planned, and refused, as what it stands in for."""
    return step.fault.fault if isinstance(step.fault, Noop) else step.fault
