"""The storage faults: what the file system and the service's user meet is what counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gameday.api.environment import ROOT, Ran
from gameday.api.fault import Fault, Injection
from gameday.errors import EnvironmentRefused
from gameday.faults.noop import Noop
from gameday.faults.storage import DiskFill, ReadOnlyData
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

BLOCK = 4096
FULL = DiskFill(target="db")
NEARLY = DiskFill(target="db", free_bytes=10 * BLOCK)
SHARE = DiskFill(target="db", fill=0.75)
SHUT = ReadOnlyData(target="db")
FILLS = pytest.mark.parametrize("fault", [FULL, NEARLY, SHARE], ids=["full", "nearly", "share"])
ALL = pytest.mark.parametrize("fault", [FULL, SHUT], ids=lambda fault: fault.verb)


@dataclass(slots=True, kw_only=True)
class House(MemoryService):
    """A service with a disk of 100 blocks and three files; each of its defects is a field."""

    disk_bytes: int | None = 100 * BLOCK
    user: str = "100:100"
    used: int = 20
    filler: int | None = None
    fills: bool = True
    short_by: int = 0
    """How many blocks less than asked for a filling takes."""
    refuses_writes: bool | None = None
    """What comes of a write, whatever the disk says, when set."""
    gives_up: bool = True
    """Whether the file goes when it is removed."""
    modes: dict[str, int] = field(
        default_factory=lambda: {"/data": 0o755, "/data/sub": 0o700, "/data/sub/f": 0o640}
    )
    obeys: bool = True
    """Whether a mode is what it is changed to."""
    forgets: bool = False
    """Whether old modes are not given back."""

    @property
    def data_folder(self) -> str:
        return "/data"

    def service_user(self) -> str:
        return self.user

    def host_folder(self) -> Path | None:
        return None

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        word, *rest = command
        if word == "sh" and user == ROOT:
            if len(rest) > 4:
                self._fill(int(rest[4]))
            filler = "absent" if self.filler is None else str(self.filler * BLOCK)
            return Ran(code=0, output=f"{BLOCK} 100 {self._free}\n{filler}\n")
        if word == "sh":
            assert user == self.user
            return self._write()
        if word == "rm" and self.gives_up:
            self.filler = None
        if word == "find":
            told = "\0".join(f"{mode:o} {path}" for path, mode in self.modes.items())
            return Ran(code=0, output=told + "\0")
        if word == "chmod" and self.obeys:
            self._chmod(rest[1], rest[2:])
        return Ran(code=0, output="")

    @property
    def _free(self) -> int:
        return 100 - self.used - (self.filler or 0)

    def _fill(self, size: int) -> None:
        if self.fills:
            self.filler = min(size // BLOCK - self.short_by, 100 - self.used)

    def _write(self) -> Ran:
        refused = self.refuses_writes
        if refused is None and not self._free:
            return Ran(code=1, output="dd: writing '/data/x': No space left on device\n1+0 out\n")
        if refused is None:
            refused = not self.modes["/data"] & 0o222
        if refused:
            return Ran(code=1, output="dd: failed to open '/data/x': Permission denied\n")
        return Ran(code=0, output="1+0 records out\n")

    def _chmod(self, mode: str, paths: Sequence[str]) -> None:
        for path in paths:
            if mode == "a-w":
                self.modes[path] &= ~0o222
            elif not self.forgets:
                self.modes[path] = int(mode, 8)


@pytest.fixture
def house(environment: MemoryEnvironment) -> House:
    made = House(spec=environment.target.services[0], clock=environment.clock)
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
    environment: MemoryEnvironment, house: House, fault: DiskFill
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
    environment: MemoryEnvironment, house: House, fault: DiskFill
) -> None:
    house.disk_bytes = 50 * BLOCK
    with pytest.raises(EnvironmentRefused, match="nothing was filled"):
        injected(environment, fault)
    assert house.filler is None


@FILLS
def test_a_fill_that_takes_too_little_is_not_proven(
    environment: MemoryEnvironment, house: House, fault: DiskFill
) -> None:
    house.short_by = 2
    assert not injected(environment, fault).prove(never).proven


def test_what_the_service_takes_of_the_room_is_given_back_to_it(
    environment: MemoryEnvironment, house: House
) -> None:
    injection = injected(environment, NEARLY)
    house.used += 5
    assert injection.prove(never).proven


def test_a_full_disk_that_can_be_written_to_is_not_proven(
    environment: MemoryEnvironment, house: House
) -> None:
    house.refuses_writes = False
    assert not injected(environment, FULL).prove(never).proven


def test_a_write_that_fails_for_another_reason_proves_no_full_disk(
    environment: MemoryEnvironment, house: House
) -> None:
    house.refuses_writes = True
    assert not injected(environment, FULL).prove(never).proven


@FILLS
def test_a_disk_that_is_full_already_is_refused(
    environment: MemoryEnvironment, house: House, fault: DiskFill
) -> None:
    house.used = 100
    with pytest.raises(EnvironmentRefused, match="bytes free already"):
        injected(environment, fault)


@FILLS
def test_a_file_that_stays_is_not_undone(
    environment: MemoryEnvironment, house: House, fault: DiskFill
) -> None:
    house.gives_up = False
    injection = injected(environment, fault)
    injection.undo()
    assert not injection.prove_healed(never).proven


def test_a_file_that_stays_is_not_undone_however_much_is_free(
    environment: MemoryEnvironment, house: House
) -> None:
    house.gives_up = False
    injection = injected(environment, DiskFill(target="db", fill=0.3))
    injection.undo()
    assert house._free > 100 - house.used - 25
    assert not injection.prove_healed(never).proven


def test_room_that_is_not_given_back_is_not_undone(
    environment: MemoryEnvironment, house: House
) -> None:
    injection = injected(environment, FULL)
    injection.undo()
    house.used += 40
    assert not injection.prove_healed(never).proven


@ALL
def test_a_user_who_still_cannot_write_is_not_undone(
    environment: MemoryEnvironment, house: House, fault: Fault
) -> None:
    injection = injected(environment, fault)
    injection.undo()
    house.refuses_writes = True
    assert not injection.prove_healed(never).proven


def test_room_that_somebody_else_takes_proves_no_fill(
    environment: MemoryEnvironment, house: House
) -> None:
    injection = injected(environment, Noop(fault=NEARLY))
    house.used = 90
    assert not injection.prove(never).proven


def test_the_disk_of_the_host_is_refused(environment: MemoryEnvironment, house: House) -> None:
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
    environment: MemoryEnvironment, house: House
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
    environment: MemoryEnvironment, house: House
) -> None:
    injection = injected(environment, SHUT)
    house.modes["/data/sub/f"] = 0o640
    assert not injection.prove(never).proven


def test_shut_data_that_the_user_can_write_are_not_proven(
    environment: MemoryEnvironment, house: House
) -> None:
    house.refuses_writes = False
    assert not injected(environment, SHUT).prove(never).proven


def test_modes_that_cannot_be_changed_are_refused(
    environment: MemoryEnvironment, house: House
) -> None:
    house.obeys = False
    with pytest.raises(EnvironmentRefused, match="db creates faster than is shut"):
        injected(environment, SHUT)


def test_modes_that_do_not_come_back_are_not_undone(
    environment: MemoryEnvironment, house: House
) -> None:
    house.forgets = True
    injection = injected(environment, SHUT)
    injection.undo()
    house.refuses_writes = False
    assert not injection.prove_healed(never).proven


def test_data_of_root_that_are_not_at_hand_are_refused(
    environment: MemoryEnvironment, house: House
) -> None:
    house.user = "0:0"
    with pytest.raises(EnvironmentRefused, match="db runs as root"):
        SHUT.on(environment)


@ALL
def test_a_service_that_died_of_it_is_started_again(
    environment: MemoryEnvironment, house: House, fault: Fault
) -> None:
    injection = injected(environment, fault)
    house._code = 1
    injection.undo()
    assert injection.prove_healed(never).proven
    assert house.process_state().alive


@ALL
def test_a_service_that_does_not_answer_again_is_not_undone(
    environment: MemoryEnvironment, house: House, fault: Fault
) -> None:
    injection = injected(environment, fault)
    injection.undo()
    house.answers = False
    assert not injection.prove_healed(never).proven


@ALL
@pytest.mark.usefixtures("house")
def test_a_dud_is_found_out(environment: MemoryEnvironment, fault: Fault) -> None:
    injection = injected(environment, Noop(fault=fault))
    assert not injection.prove(never).proven
    injection.undo()
    assert injection.prove_healed(never).proven


@FILLS
@pytest.mark.parametrize("filler", [None, 5])
def test_a_file_that_somebody_else_removes_or_cuts_fills_no_more(
    environment: MemoryEnvironment, house: House, fault: DiskFill, filler: int | None
) -> None:
    injection = injected(environment, fault)
    assert injection.prove(never).proven
    house.used += 1
    assert is_active(injection), "what the service takes is its own"
    house.filler = filler
    assert not is_active(injection)


def test_a_folder_that_an_entry_point_opens_is_not_shut_any_more(
    environment: MemoryEnvironment, house: House
) -> None:
    injection = injected(environment, SHUT)
    assert injection.prove(never).proven
    assert is_active(injection)
    house.modes["/data"] = 0o700
    assert not is_active(injection)
