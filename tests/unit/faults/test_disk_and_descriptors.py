"""A disk that is not as slow as asked, or files that can still be opened: not proven."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gameday.api.descriptors import Descriptors
from gameday.api.environment import Endpoint
from gameday.api.fault import Fault, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.resources import FileDescriptors, IoThrottle
from gameday.testing.bounds import FilingService, MemoryDisk
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

THROTTLE = IoThrottle(target="db", read_bytes_per_s=200_000, write_bytes_per_s=1_000_000)
FILES = FileDescriptors(target="db", free=3)


@pytest.fixture
def db(environment: MemoryEnvironment, db: MemoryService) -> Iterator[FilingService]:
    """A service whose port accepts, as the kernel does for whoever listens."""
    clock = environment.clock
    made = FilingService(spec=db.spec, clock=clock, drive=MemoryDisk(clock=clock))
    environment.services["db"] = made
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.upstream = Endpoint(host="127.0.0.1", port=int(listener.getsockname()[1]))
        yield made


def no_checkpoint() -> None:
    return


def proof_of(environment: MemoryEnvironment, fault: Fault) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(no_checkpoint)


BOTH = pytest.mark.parametrize("fault", [THROTTLE, FILES], ids=lambda fault: fault.verb)


@BOTH
def test_a_limit_that_is_not_there_is_not_proven(
    environment: MemoryEnvironment, db: FilingService, fault: Fault
) -> None:
    db.obeys = db.drive.sets = False
    assert not proof_of(environment, fault)[1].proven


@BOTH
def test_a_limit_that_stays_is_not_undone(
    environment: MemoryEnvironment, db: FilingService, fault: Fault
) -> None:
    db.restores = db.drive.gives_back = False
    made, _ = proof_of(environment, fault)
    db.answers = True
    made.undo()
    assert not made.prove_healed(no_checkpoint).proven


@pytest.mark.parametrize("pace", [0.7, 1.3])
def test_another_rate_than_asked_is_not_proven(
    environment: MemoryEnvironment, db: FilingService, pace: float
) -> None:
    db.drive.pace = pace
    assert not proof_of(environment, THROTTLE)[1].proven


@pytest.mark.parametrize(("own_rate", "proven"), [(1_400_000, False), (1_600_000, True)])
def test_a_disk_that_is_hardly_faster_by_itself_is_not_slowed_down(
    environment: MemoryEnvironment, db: FilingService, own_rate: float, proven: bool
) -> None:
    db.drive.own_rate = own_rate
    proof = proof_of(environment, THROTTLE)[1]
    assert proof.proven is proven
    assert proof.measured["write_before_bytes_per_s"] == pytest.approx(own_rate, rel=0.01)


def test_a_service_that_answers_beyond_its_files_is_not_short_of_them(
    environment: MemoryEnvironment, db: FilingService
) -> None:
    db.serves_beyond = True
    assert not proof_of(environment, FILES)[1].proven


def test_more_files_than_are_free_cannot_be_left(
    environment: MemoryEnvironment, db: FilingService
) -> None:
    db.soft = 6
    with pytest.raises(EnvironmentRefused, match="2 are free, 3 are wanted"):
        proof_of(environment, FILES)


@pytest.mark.parametrize(("free", "soft"), [(0, 0), (1, 4), (2, 5), (3, 7), (5, 9)])
def test_below_the_limit_exactly_as_many_numbers_are_free_as_asked(free: int, soft: int) -> None:
    files = Descriptors(pid=1, started=0, open=frozenset({0, 1, 2, 5, 900}), soft=1000)
    assert files.soft_for(free) == soft
    below = Descriptors(pid=1, started=0, open=files.open, soft=soft)
    assert below.free() == free


@pytest.mark.parametrize("fault", [THROTTLE, FILES], ids=lambda fault: fault.verb)
def test_a_service_without_what_is_limited_is_refused(
    environment: MemoryEnvironment, fault: Fault
) -> None:
    with pytest.raises(EnvironmentRefused):
        fault.on(environment)


WRONG: dict[str, Callable[[], Fault]] = {
    "no rate": lambda: IoThrottle(target="db"),
    "too slow": lambda: IoThrottle(target="db", read_bytes_per_s=10),
    "too fast": lambda: IoThrottle(target="db", write_bytes_per_s=10**9),
    "no file": lambda: FileDescriptors(target="db", free=0),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_value_out_of_bounds_is_refused_with_what_is_wanted(what: str) -> None:
    with pytest.raises(ValueError, match="wanted"):
        WRONG[what]()


def test_a_throttle_that_was_lost_is_not_in_any_more(
    environment: MemoryEnvironment, db: FilingService
) -> None:
    made, proof = proof_of(environment, THROTTLE)
    assert proof.proven
    assert is_active(made)
    db.drive.now = (200_000, None)
    assert not is_active(made)


@pytest.mark.parametrize("lost", ["limit", "process"])
def test_a_limit_of_open_files_goes_with_its_process(
    environment: MemoryEnvironment, db: FilingService, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    made, proof = proof_of(environment, FILES)
    assert proof.proven
    assert is_active(made)
    now = db.descriptors()
    other = replace(now, soft=1000) if lost == "limit" else replace(now, started=2.0)
    monkeypatch.setattr(FilingService, "descriptors", lambda _: other)
    assert not is_active(made)
