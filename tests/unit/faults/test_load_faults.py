"""Load faults are refused when they make no sense, and take their rate from the workload."""

from pathlib import Path

import pytest

from gameday.errors import InternalError
from gameday.faults.load import MalformedPayload, Surge, surge
from gameday.faults.load.surge import surges
from gameday.load.load import LoadDriver
from gameday.model.clock import MINUTE
from gameday.model.scenario import ServiceSpec, Target
from gameday.technologies.app.publish import Publish
from gameday.technologies.redis.faults import PoisonMessage
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.is_active import is_active


def test_a_factor_counts_the_workload_in() -> None:
    workload = Publish(to="relay", ledger="listener", rate_per_s=200.0)
    surge = Surge(target="relay", factor=3.0).bind_to_workload(workload)
    assert (surge.factor, surge.rate_per_s) == (None, 400.0)


def test_a_rate_stays_what_it_is() -> None:
    workload = Publish(to="relay", ledger="listener", rate_per_s=200.0)
    surge = Surge(target="relay", rate_per_s=5.0)
    assert surge.bind_to_workload(workload) is surge


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Surge, {}),
        (Surge, {"factor": 2.0, "rate_per_s": 1.0}),
        (Surge, {"factor": 1.0}),
        (Surge, {"factor": 101.0}),
        (Surge, {"rate_per_s": 20_001.0}),
        (MalformedPayload, {"path": "signals"}),
        (MalformedPayload, {"path": "/a b"}),
        (MalformedPayload, {"rate_per_s": 1001.0}),
        (PoisonMessage, {"to": "s", "times": 0}),
        (PoisonMessage, {"to": ""}),
        (PoisonMessage, {"to": "s", "body": "x" * 10_001}),
    ],
)
def test_what_makes_no_sense_is_refused(kind: type, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        kind(target="x", **wrong)


@pytest.mark.parametrize(
    ("sent", "answered", "saturated", "surges_"),
    [
        (100, 90, False, True),
        (89, 89, False, False),
        (111, 90, False, True),
        (112, 90, False, False),
        (100, 0, False, False),
        (10, 5, True, True),
        (9, 5, True, False),
        (300, 5, True, False),
        (0, 0, False, False),
    ],
)
def test_a_surge_is_about_what_was_asked_for_or_all_that_a_saturated_service_takes(
    sent: float, answered: float, saturated: bool, surges_: bool
) -> None:
    seen = surges(100, sent_per_s=sent, answered_per_s=answered, saturated=saturated)
    assert seen is surges_


def environment() -> MemoryEnvironment:
    """A target of one app that nobody can reach."""
    services = (ServiceSpec(name="r", kind="app"),)
    target = Target(name="t", title="T", path=Path(), services=services)
    return MemoryEnvironment(target=target, clock=ManualClock())


def test_malformed_requests_that_nobody_sends_are_not_in_any_more() -> None:
    made = environment()
    injection = MalformedPayload(target="r", rate_per_s=0.1).on(made)
    injection.inject()
    assert is_active(injection)
    made.clock.sleep_ns(10 * MINUTE)
    assert not is_active(injection), "it has come to its own end"
    injection.undo()


class Driver(LoadDriver):
    """A driver that was never started, and dies."""

    def __init__(self) -> None:
        self.lives = True

    def poll(self) -> None:
        if not self.lives:
            raise InternalError("the load driver died")


def test_a_surge_whose_driver_died_is_not_in_any_more(tmp_path: Path) -> None:
    driver = Driver()
    injection = surge._Surging(ManualClock(), environment().service("r"), driver, tmp_path, 100.0)
    assert is_active(injection)
    driver.lives = False
    with pytest.raises(InternalError, match="died"):
        is_active(injection)
