"""The storage faults: what the file system and the service's user meet is what counts."""

import pytest

from gameday.api.fault import Fault, Injection
from gameday.errors import EnvironmentRefused
from gameday.faults.noop import Noop
from gameday.faults.storage import DiskFill, ReadOnlyData
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.is_active import is_active
from gameday.testing.storage import BLOCK, DataDirService

FULL = DiskFill(target="db")
NEARLY = DiskFill(target="db", free_bytes=10 * BLOCK)
SHARE = DiskFill(target="db", fill=0.75)
SHUT = ReadOnlyData(target="db")
FILLS = pytest.mark.parametrize("fault", [FULL, NEARLY, SHARE], ids=["full", "nearly", "share"])
ALL = pytest.mark.parametrize("fault", [FULL, SHUT], ids=lambda fault: fault.verb)


@pytest.fixture
def house(environment: MemoryEnvironment) -> DataDirService:
    made = DataDirService(spec=environment.target.services[0], clock=environment.clock)
    environment.services["db"] = made
    return made


def injected(environment: MemoryEnvironment, fault: Fault) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def never() -> None:
    """No reason to stop."""


@FILLS
def test_a_fill_leaves_what_was_asked_and_gives_it_back(
    environment: MemoryEnvironment, house: DataDirService, fault: DiskFill
) -> None:
    injection = injected(environment, fault)
    effect = injection.prove(never)
    assert effect.proven, effect.measured
    assert effect.measured["free_bytes"] == injection.asked["free_bytes"]
    injection.undo()
    injection.undo()
    assert injection.prove_healed(never).proven
    assert house.filler is None


@FILLS
def test_a_disk_that_is_not_the_bounded_one_is_left_alone(
    environment: MemoryEnvironment, house: DataDirService, fault: DiskFill
) -> None:
    house.disk_bytes = 50 * BLOCK
    with pytest.raises(EnvironmentRefused, match="nothing was filled"):
        injected(environment, fault)
    assert house.filler is None


@FILLS
def test_a_fill_that_takes_too_little_is_not_proven(
    environment: MemoryEnvironment, house: DataDirService, fault: DiskFill
) -> None:
    house.short_by = 2
    assert not injected(environment, fault).prove(never).proven


def test_what_the_service_takes_of_the_room_is_given_back_to_it(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    injection = injected(environment, NEARLY)
    house.used += 5
    assert injection.prove(never).proven


def test_a_full_disk_that_can_be_written_to_is_not_proven(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.refuses_writes = False
    assert not injected(environment, FULL).prove(never).proven


def test_a_write_that_fails_for_another_reason_proves_no_full_disk(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.refuses_writes = True
    assert not injected(environment, FULL).prove(never).proven


@FILLS
def test_a_disk_that_is_full_already_is_refused(
    environment: MemoryEnvironment, house: DataDirService, fault: DiskFill
) -> None:
    house.used = 100
    with pytest.raises(EnvironmentRefused, match="bytes free already"):
        injected(environment, fault)


@FILLS
def test_a_file_that_stays_is_not_undone(
    environment: MemoryEnvironment, house: DataDirService, fault: DiskFill
) -> None:
    house.gives_up = False
    injection = injected(environment, fault)
    injection.undo()
    assert not injection.prove_healed(never).proven


def test_a_file_that_stays_is_not_undone_however_much_is_free(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.gives_up = False
    injection = injected(environment, DiskFill(target="db", fill=0.3))
    injection.undo()
    assert house._free > 100 - house.used - 25
    assert not injection.prove_healed(never).proven


def test_room_that_is_not_given_back_is_not_undone(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    injection = injected(environment, FULL)
    injection.undo()
    house.used += 40
    assert not injection.prove_healed(never).proven


@ALL
def test_a_user_who_still_cannot_write_is_not_undone(
    environment: MemoryEnvironment, house: DataDirService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    injection.undo()
    house.refuses_writes = True
    assert not injection.prove_healed(never).proven


def test_room_that_somebody_else_takes_proves_no_fill(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    injection = injected(environment, Noop(fault=NEARLY))
    house.used = 90
    assert not injection.prove(never).proven


def test_the_disk_of_the_host_is_refused(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.disk_bytes = None
    with pytest.raises(EnvironmentRefused, match="db is on the host's disk"):
        FULL.on(environment)


@pytest.mark.parametrize(
    ("free_bytes", "fill", "told"),
    [(1, 0.5, "both are given"), (0, 0.0, "fill: wanted more than 0%")],
)
def test_a_fill_of_nothing_or_in_two_ways_is_refused(
    free_bytes: int, fill: float, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        DiskFill(target="db", free_bytes=free_bytes, fill=fill)


def test_data_are_shut_and_get_their_old_modes(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    before = dict(house.modes)
    injection = injected(environment, SHUT)
    effect = injection.prove(never)
    assert effect.proven
    assert effect.measured["shut"] == 3
    assert not injection.prove_healed(never).proven
    injection.undo()
    injection.undo()
    assert injection.prove_healed(never).proven
    assert house.modes == before


def test_a_file_that_is_open_to_writing_after_all_is_not_proven(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    injection = injected(environment, SHUT)
    house.modes["/data/sub/f"] = 0o640
    assert not injection.prove(never).proven


def test_shut_data_that_the_user_can_write_are_not_proven(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.refuses_writes = False
    assert not injected(environment, SHUT).prove(never).proven


def test_modes_that_cannot_be_changed_are_refused(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.obeys = False
    with pytest.raises(EnvironmentRefused, match="db creates files faster than they can be locked"):
        injected(environment, SHUT)


def test_modes_that_do_not_come_back_are_not_undone(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.forgets = True
    injection = injected(environment, SHUT)
    injection.undo()
    house.refuses_writes = False
    assert not injection.prove_healed(never).proven


def test_data_of_root_that_are_not_at_hand_are_refused(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    house.user = "0:0"
    with pytest.raises(EnvironmentRefused, match="db runs as root"):
        SHUT.on(environment)


@ALL
def test_a_service_that_died_of_it_is_started_again(
    environment: MemoryEnvironment, house: DataDirService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    house._code = 1
    injection.undo()
    assert injection.prove_healed(never).proven
    assert house.process_state().alive


@ALL
def test_a_service_that_does_not_answer_again_is_not_undone(
    environment: MemoryEnvironment, house: DataDirService, fault: Fault
) -> None:
    injection = injected(environment, fault)
    injection.undo()
    house.answers = False
    assert not injection.prove_healed(never).proven


@FILLS
@pytest.mark.parametrize("filler", [None, 5])
def test_a_file_that_somebody_else_removes_or_cuts_fills_no_more(
    environment: MemoryEnvironment, house: DataDirService, fault: DiskFill, filler: int | None
) -> None:
    injection = injected(environment, fault)
    assert injection.prove(never).proven
    house.used += 1
    assert is_active(injection), "what the service takes is its own"
    house.filler = filler
    assert not is_active(injection)


def test_a_folder_that_an_entry_point_opens_is_not_shut_any_more(
    environment: MemoryEnvironment, house: DataDirService
) -> None:
    injection = injected(environment, SHUT)
    assert injection.prove(never).proven
    assert is_active(injection)
    house.modes["/data"] = 0o700
    assert not is_active(injection)
