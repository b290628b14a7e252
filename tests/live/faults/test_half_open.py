"""Half-open edges to services of every kind, also to those that want a login first."""

from collections.abc import Callable

import pytest

from gameday.api.environment import Features
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.faults.network import HalfOpen
from gameday.loading import load_target
from gameday.model.scenario import Target
from gameday.resources import bundled

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Unproven = Callable[[Fault], None]

FAULTS: list[Fault] = [
    HalfOpen(target="client -> redis", stream="upstream"),
    HalfOpen(target="client -> redis", stream="downstream"),
    HalfOpen(target="client -> postgres", stream="both"),
    HalfOpen(target="client -> postgres", stream="downstream"),
    HalfOpen(target="client -> rabbitmq", stream="upstream"),
    HalfOpen(target="client -> rabbitmq", stream="downstream"),
]


def name(fault: Fault) -> str:
    return f"{fault.target.split()[-1]}-{getattr(fault, 'stream', '')}"


@pytest.fixture(scope="module")
def system() -> Target:
    return load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())


@pytest.fixture(scope="module")
def features() -> Features:
    return Features(own_proxy=True)


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_half_open_edge_loses_data_and_ends_and_is_reset_afterwards(
    through: Callable[[Fault], tuple[Proof, Proof]], fault: Fault
) -> None:
    effect, undone = through(fault)
    assert effect.measured["ends_lost"] == effect.measured["connections"]
    assert undone.measured["met_before"] == undone.measured["reset_after"] == 4


@pytest.mark.parametrize("fault", FAULTS[1::2], ids=name)
def test_what_does_nothing_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)
