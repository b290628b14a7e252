"""What faults need of a host, by what they say themselves before there is a scenario."""

import itertools
from collections.abc import Iterator, Mapping
from typing import get_args, get_type_hints

from gameday.api.fault import Example, Fault, HasRequirements, Requirements
from gameday.api.mechanism import Mechanism
from gameday.faults.built_in import MECHANISMS
from gameday.registry import FAULTS

__all__ = ["RUNTIMES", "mechanisms_of_faults", "variants"]

RUNTIMES = ("docker", "process")

_TARGETS = {"service": "a", "edge": "a -> b", "services": "a | b"}


def variants(
    fault: type[Fault], runtime: str
) -> Iterator[tuple[Mapping[str, object], Requirements]]:
    """Yield what a fault needs by each combination of the parameters that matter for that."""
    if not issubclass(fault, HasRequirements):
        yield {}, Requirements()
        return
    example: Example = getattr(fault, "example", Example())
    hints = get_type_hints(fault)
    for values in itertools.product(*(get_args(hints[name]) for name in example.decisive)):
        chosen = dict(zip(example.decisive, values, strict=True))
        parameters = {"target": _TARGETS[fault.hits], **example.parameters, **chosen}
        made = fault(**parameters)
        yield chosen, made.requirements(runtime)


def mechanisms_of_faults() -> tuple[Mechanism, ...]:
    """Return what is tried out for faults: those of gameday's own in their order, then the rest."""
    needed = (
        mechanism
        for fault in FAULTS.values()
        for runtime in RUNTIMES
        for _, requirements in variants(fault, runtime)
        for mechanism in requirements.mechanisms
    )
    named: dict[str, Mechanism] = {}
    for mechanism in (*MECHANISMS, *needed):
        named.setdefault(mechanism.name, mechanism)
    return tuple(named.values())
