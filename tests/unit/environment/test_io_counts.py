"""Every byte counts once, also that of a process which ended, whoever is asked about it."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gameday.environment.disk_cells import device_of
from gameday.environment.io_counts import IoCounts
from gameday.errors import EnvironmentRefused

_LIMIT_S = 5
_MIB = 1024 * 1024

Told = dict[int, tuple[int, int] | None]


@pytest.fixture
def family() -> Iterator[list[psutil.Process]]:
    """A process and one that stands for its child."""
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield [psutil.Process(process.pid) for process in started]
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def told(family: list[psutil.Process], monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the kernel says of each of them; None: it has ended."""
    told: Told = {process.pid: (0, 0) for process in family}
    monkeypatch.setattr(IoCounts, "_counts", lambda _, pid, strictly: told[pid])
    return told


@pytest.fixture
def guests() -> Iterator[Callable[[str], psutil.Process]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> psutil.Process:
        started.append(subprocess.Popen(["sh", "-c", script], start_new_session=True))
        return psutil.Process(started[-1].pid)

    yield start
    for process in started:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


def no_guests() -> list[psutil.Process]:
    return []


def everybody(counts: IoCounts) -> list[psutil.Process]:
    return [process for part in counts.known() for process in part]


def comes_true(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + _LIMIT_S
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.005)
    return condition()


def test_what_was_moved_before_does_not_count(family: list[psutil.Process], told: Told) -> None:
    told[family[0].pid] = (1000, 2000)
    counts = IoCounts(lambda: family, no_guests, "db")
    assert counts.look() == (0, 0)
    told[family[0].pid] = (1007, 2030)
    assert counts.look() == (7, 30)
    assert counts.moved == (7, 30)


def test_what_a_child_had_moved_is_not_counted_again_in_who_collects_it(
    family: list[psutil.Process], told: Told
) -> None:
    parent, child = family
    counts = IoCounts(lambda: family, no_guests, "db")
    told[child.pid] = (0, 500)
    assert counts.look() == (0, 500)
    told |= {parent.pid: (0, 520), child.pid: None}
    assert counts.look() == (0, 520)


def test_who_ends_while_it_is_looked_is_in_its_parent(
    family: list[psutil.Process], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, child = family
    told[child.pid] = (0, 500)
    counts = IoCounts(lambda: family, no_guests, "db")

    def between(_: IoCounts, pid: int, *, strictly: bool) -> tuple[int, int] | None:
        if pid == child.pid:
            told[parent.pid] = (0, 505)
            return None
        return told[pid]

    monkeypatch.setattr(IoCounts, "_counts", between)
    assert counts.look() == (0, 5)


def test_what_is_lost_with_a_process_does_not_make_up_for_what_others_move(
    family: list[psutil.Process], told: Told
) -> None:
    counts = IoCounts(lambda: family, no_guests, "db")
    told[family[1].pid] = (0, 500)
    assert counts.look() == (0, 500)
    told[family[1].pid] = None
    assert counts.look() == (0, 500)
    told[family[0].pid] = (0, 3)
    assert counts.look() == (0, 503)


def test_a_guest_is_known_at_once_and_told_once(family: list[psutil.Process], told: Told) -> None:
    beside: list[psutil.Process] = []
    counts = IoCounts(lambda: family[:1], lambda: beside, "db")
    assert not counts.guest_came()
    beside.append(family[1])
    told[family[1].pid] = (0, 9)
    assert counts.look() == (0, 9)
    assert everybody(counts) == family
    assert (counts.guest_came(), counts.guest_came()) == (True, False)


def test_children_are_known_without_another_scan(
    guests: Callable[[str], psutil.Process],
) -> None:
    shell = guests("sleep 60 & sleep 60 & wait")
    scans = 0

    def scan() -> list[psutil.Process]:
        nonlocal scans
        scans += 1
        return [shell]

    counts = IoCounts(scan, no_guests, "db")

    def all_known() -> bool:
        counts.look()
        return len(everybody(counts)) == 3

    assert comes_true(all_known)
    assert everybody(counts)[0] == shell, "parents come before their children"


def test_children_of_children_are_known_at_the_first_look(
    guests: Callable[[str], psutil.Process],
) -> None:
    shell = guests("sh -c 'sleep 60 & wait' & wait")
    assert comes_true(lambda: len(shell.children(recursive=True)) == 2)
    assert len(everybody(IoCounts(lambda: [shell], no_guests, "db"))) == 3


def test_a_guest_and_its_children_are_told_from_the_service(
    family: list[psutil.Process], guests: Callable[[str], psutil.Process]
) -> None:
    shell = guests("sleep 60 & wait")
    assert comes_true(lambda: len(shell.children()) == 1)
    counts = IoCounts(lambda: [*family, *shell.children(), shell], lambda: [shell], "db")
    service, beside = counts.known()
    assert (service, set(beside)) == (family, {shell, *shell.children()})


@pytest.mark.parametrize("after", ["; sleep 60", "& exec sleep 60"], ids=["collected", "left"])
def test_the_kernel_counts_what_a_child_wrote_once_whether_it_was_collected_or_not(
    guests: Callable[[str], psutil.Process], tmp_path: Path, after: str
) -> None:
    try:
        device_of(tmp_path, "a test")
    except EnvironmentRefused as error:
        pytest.skip(str(error))
    # What was written before it was looked at does not count.
    wait = f"until [ -e '{tmp_path}/go' ]; do sleep 0.01; done"
    write = f"dd if=/dev/zero of='{tmp_path}/file' bs=64k count=16 2>/dev/null"
    shell = guests(f"{wait}; {write} {after}")
    counts = IoCounts(no_guests, lambda: [shell], "db")
    (tmp_path / "go").touch()
    assert comes_true(lambda: counts.look()[1] >= _MIB)
    for _ in range(20):
        time.sleep(0.01)
        assert counts.look()[1] < 2 * _MIB


def test_a_process_that_may_not_be_looked_at_is_refused(
    family: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(EnvironmentRefused, match=r"^db: what its processes read and write cannot"):
        IoCounts(lambda: family, no_guests, "db")


def test_a_host_that_does_not_count_is_refused(
    family: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(path: Path) -> str:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    with pytest.raises(EnvironmentRefused, match="No such file"):
        IoCounts(lambda: family, no_guests, "db")
