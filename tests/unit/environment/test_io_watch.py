"""Who moves more than asked stands still for it, and everybody runs as soon as it is over."""

import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import psutil
import pytest

from gameday.environment import io_watch
from gameday.environment.io_watch import WatchedDisk, _Account
from gameday.environment.using import cpu_ns_of
from gameday.model.clock import MILLISECOND, SECOND

_LIMIT_S = 5
_WINDOW_S = 1.5
_RATE = SECOND // 5
"""A fifth of a core, for here what counts as written is the processor time."""


class Counts:
    """What one process uses of a processor passes for what it writes."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.moved = (0, 0)
        self.fails = False
        self.came = False
        self.guest = False
        """Whether it is a guest, or the service."""

    def look(self) -> tuple[int, int]:
        if self.fails:
            raise OSError("nothing can be seen")
        self.moved = (0, cpu_ns_of([self.process]))
        return self.moved

    def known(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        return ([], [self.process]) if self.guest else ([self.process], [])

    def guest_came(self) -> bool:
        return self.came


@pytest.fixture
def loop() -> Iterator[psutil.Process]:
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as started:
        yield psutil.Process(started.pid)
        started.kill()


@pytest.fixture
def counts(loop: psutil.Process, monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts = Counts(loop)
    monkeypatch.setattr(io_watch, "IoCounts", lambda *_: counts)
    return counts


@pytest.fixture
def disk(loop: psutil.Process, counts: Counts) -> Iterator[WatchedDisk]:
    disk = WatchedDisk(lambda: [loop], list, device="1:0", folder="/", what="db")
    yield disk
    disk.release()


def comes_true(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + _LIMIT_S
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.001)
    return condition()


def stops(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


@pytest.mark.parametrize("guest", [False, True], ids=["service", "guest"])
def test_who_moves_too_much_moves_the_rate_on_average(
    loop: psutil.Process, disk: WatchedDisk, counts: Counts, guest: bool
) -> None:
    counts.guest = guest
    disk.hold((None, _RATE))
    assert comes_true(lambda: stops(loop))
    began, before = time.monotonic(), cpu_ns_of([loop])
    time.sleep(_WINDOW_S)
    moved, took = cpu_ns_of([loop]) - before, time.monotonic() - began
    # A tenth of a second may have been saved, and what came last is not paid for.
    assert 0 < moved < _RATE * (took + 0.5)


def test_who_moves_less_is_never_stopped(loop: psutil.Process, disk: WatchedDisk) -> None:
    disk.hold((None, 64 * SECOND))
    give_up = time.monotonic() + 0.3
    while time.monotonic() < give_up:
        assert not stops(loop)
    assert disk.moved()[1] > 0


@pytest.fixture
def served(
    loop: psutil.Process, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psutil.Process]:
    """A service that moves nothing, beside which the loop is a guest."""
    with subprocess.Popen(["sleep", "60"]) as quiet:
        process = psutil.Process(quiet.pid)
        monkeypatch.setattr(counts, "known", lambda: ([process], [loop]))
        yield process
        quiet.kill()


def test_a_service_does_not_stand_still_for_what_a_guest_owes(
    loop: psutil.Process,
    served: psutil.Process,
    disk: WatchedDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a busy host a guest may be stopped so late that it owes more than a fifth of a second.
    monkeypatch.setattr(io_watch, "_LENIENT_NS", 60 * SECOND)
    disk.hold((None, _RATE))
    assert comes_true(lambda: stops(loop))
    give_up = time.monotonic() + 0.3
    while time.monotonic() < give_up:
        assert not stops(served)
    disk.hold((None, 1000))
    assert comes_true(lambda: stops(served)), "there is an end to that"
    disk.release()
    served.resume()


def test_a_service_goes_on_when_only_its_guests_owe_something(
    loop: psutil.Process, served: psutil.Process, disk: WatchedDisk
) -> None:
    disk._stop(service_too=True)
    assert comes_true(lambda: stops(served) and stops(loop))
    disk._stop(service_too=False)
    assert comes_true(lambda: not stops(served))
    assert stops(loop)
    disk._let_go()
    assert comes_true(lambda: not stops(loop))


def test_a_direction_without_a_rate_is_free(loop: psutil.Process, disk: WatchedDisk) -> None:
    disk.hold((1, None))
    give_up = time.monotonic() + 0.2
    while time.monotonic() < give_up:
        assert not stops(loop)


def test_after_the_release_everybody_runs_and_nothing_is_left(
    loop: psutil.Process, disk: WatchedDisk
) -> None:
    disk.hold((None, 1000))
    assert comes_true(lambda: stops(loop))
    assert disk.rates() == (None, 1000)
    assert disk.left() == "a thread stops who has moved too much"
    disk.release()
    disk.release()
    assert not stops(loop)
    assert (disk.left(), disk.rates()) == ("", (None, None))
    before = disk.moved()
    assert comes_true(lambda: disk.moved() > before), "it is looked without a watch, too"


def test_who_is_still_stopped_is_left(loop: psutil.Process, disk: WatchedDisk) -> None:
    loop.suspend()
    assert comes_true(lambda: stops(loop))
    assert disk.left() == "processes are stopped"


def test_a_watch_ends_by_itself(
    loop: psutil.Process, disk: WatchedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.environment.watch._LONGEST_NS", SECOND // 5)
    disk.hold((None, 1000 * SECOND))
    assert comes_true(lambda: disk.rates() == (None, None))
    assert comes_true(lambda: not stops(loop))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_cannot_look_any_more_stops_nobody_and_says_that_it_is_over(
    loop: psutil.Process, disk: WatchedDisk, counts: Counts
) -> None:
    disk.hold((None, 1000))
    assert comes_true(lambda: stops(loop))
    counts.fails = True
    assert comes_true(lambda: disk.rates() == (None, None))
    assert not stops(loop)


def test_a_turn_is_made_as_long_as_can_be_paid_for_in_a_twentieth_of_a_second(
    disk: WatchedDisk, counts: Counts
) -> None:
    turn_ns = MILLISECOND
    assert disk._next_turn_ns(turn_ns, 100 * MILLISECOND) == turn_ns // 2
    assert disk._next_turn_ns(turn_ns, 10 * SECOND) == turn_ns // 4, "one late stop says little"
    assert disk._next_turn_ns(turn_ns, 0) == turn_ns * 5 // 4
    assert disk._next_turn_ns(4 * turn_ns, 0) == 4 * turn_ns
    counts.came = True
    assert disk._next_turn_ns(4 * turn_ns, 0) < turn_ns // 10


def test_what_was_moved_too_much_is_owed_until_the_time_for_it_has_passed(
    counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns, moved = 0, (0, 0)
    told = SimpleNamespace(monotonic_ns=lambda: now_ns)
    monkeypatch.setattr("gameday.environment.io_watch.time", told)
    monkeypatch.setattr(counts, "look", lambda: moved)
    account = _Account(counts, (1000, 200))  # type: ignore[arg-type]
    moved = (500, 500)
    assert account.due_ns() == 5 * SECOND // 2, "the way that is owed most for"
    now_ns = SECOND
    assert account.due_ns() == 3 * SECOND // 2
    now_ns = 100 * SECOND
    assert account.due_ns() <= 0
    moved = (1500, 500)
    assert account.due_ns() == 9 * SECOND // 10, "a tenth of a second is all that is saved"
