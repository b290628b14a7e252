"""The clock faults: what the service itself says of its time is what counts."""

import pytest

from gameday.api.fault import Fault, Injection
from gameday.errors import EnvironmentRefused
from gameday.faults.clock import ClockDrift, ClockOffset
from gameday.model.clock import MINUTE, SECOND
from gameday.model.units import parse_offset
from gameday.registry import kinds_of
from gameday.testing.clocked import ClockedService
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.is_active import is_active

OFFSET = ClockOffset(target="db", offset_ns=-5 * MINUTE)
DRIFT = ClockDrift(target="db", rate=1.1)
BOTH = pytest.mark.parametrize("fault", [OFFSET, DRIFT], ids=lambda fault: fault.verb)


@pytest.fixture
def wrist(environment: MemoryEnvironment) -> ClockedService:
    made = ClockedService(spec=environment.target.services[0], clock=environment.clock)
    environment.services["db"] = made
    return made


def injected(environment: MemoryEnvironment, fault: Fault) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def never() -> None:
    """No reason to stop."""


@BOTH
@pytest.mark.parametrize("astray_ns", [0, 40 * SECOND])
def test_a_clock_that_is_off_as_asked_is_proven_and_set_right(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault, astray_ns: int
) -> None:
    wrist.astray_ns = astray_ns
    injection = injected(environment, fault)
    effect = injection.prove(never)
    assert effect.proven, effect.measured
    assert not injection.prove_healed(never).proven
    injection.undo()
    injection.undo()
    undone = injection.prove_healed(never)
    assert undone.proven, undone.measured


@BOTH
@pytest.mark.parametrize("obeys", [0.0, 0.5, 0.9, 1.2, -1.0])
def test_a_clock_that_is_off_by_something_else_is_not_proven(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault, obeys: float
) -> None:
    wrist.obeys = obeys
    assert not injected(environment, fault).prove(never).proven


@BOTH
def test_a_reading_that_took_too_long_proves_nothing(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    wrist.asking_ns = 40 * SECOND
    assert not injection.prove(never).proven
    injection.undo()
    assert not injection.prove_healed(never).proven


@BOTH
def test_who_does_not_answer_proves_nothing(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    wrist.mute = True
    assert not injection.prove(never).proven
    injection.undo()
    assert not injection.prove_healed(never).proven


@BOTH
def test_a_clock_that_stays_wrong_is_not_undone(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault
) -> None:
    wrist.resets = False
    injection = injected(environment, fault)
    injection.undo()
    assert not injection.prove_healed(never).proven


@BOTH
def test_a_service_with_its_hosts_clock_is_refused(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault
) -> None:
    wrist.own_clock = False
    with pytest.raises(EnvironmentRefused, match="db uses the clock of its host"):
        fault.on(environment)


@pytest.mark.parametrize("offset_ns", [0, SECOND - 1, 8785 * 60 * MINUTE])
def test_an_offset_that_nobody_could_tell_or_means_is_refused(offset_ns: int) -> None:
    with pytest.raises(ValueError, match="1s to 8784h"):
        ClockOffset(target="db", offset_ns=-offset_ns)


@pytest.mark.parametrize("rate", [0.4, 0.96, 1.0, 1.04, 2.1])
def test_a_rate_that_nobody_could_tell_or_means_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"rate: wanted 0\.5 to 0\.95, or 1\.05 to 2"):
        ClockDrift(target="db", rate=rate)


@pytest.mark.parametrize("rate", [0.5, 0.95, 1.05, 2])
def test_the_bounds_of_a_rate_are_valid(rate: float) -> None:
    ClockDrift(target="db", rate=rate)


@pytest.mark.parametrize(
    ("text", "offset_ns"), [("+5min", 5 * MINUTE), ("-30s", -30 * SECOND), ("+ 1.5 h", 90 * MINUTE)]
)
def test_an_offset_is_a_duration_with_a_sign(text: str, offset_ns: int) -> None:
    assert parse_offset(text) == offset_ns


@pytest.mark.parametrize("text", ["5min", "+5", "+", "", "+-5s", "+5m"])
def test_an_offset_without_a_sign_or_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration with a sign"):
        parse_offset(text)


@BOTH
def test_a_clock_that_somebody_else_sets_is_not_in_any_more(
    environment: MemoryEnvironment, wrist: ClockedService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    assert injection.prove(never).proven
    wrist.mute = True
    assert is_active(injection), "what is dead has its clock"
    wrist.set_clock(0, 1)
    assert not is_active(injection)


def test_every_kind_that_tells_its_time_can_be_hit() -> None:
    told = {"redis", "redis-replica", "postgres", "postgres-replica", "app"}
    assert kinds_of(ClockOffset) == kinds_of(ClockDrift) == told
