import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from gameday.errors import InternalError
from gameday.host.child import Child
from gameday.host.full_disk import is_full
from gameday.load import noise_meter as hiccup
from gameday.load import sleeper
from gameday.load.heartbeat import PAIR
from gameday.load.noise_meter import (
    HostNoiseMeter,
    crowding,
    read_host_times,
    read_pairs,
    read_runnable,
    share,
)
from gameday.model.clock import MILLISECOND, SECOND


def test_pairs_are_read_as_they_were_written_and_half_a_pair_is_none(tmp_path: Path) -> None:
    file = tmp_path / "hiccups.bin"
    file.write_bytes(PAIR.pack(10**18, 2_000_000) + PAIR.pack(10**18 + 5, 3_000_000) + b"\1\2\3")
    at_ns, late_ns = read_pairs(file)
    assert at_ns.tolist() == [10**18, 10**18 + 5]
    assert late_ns.tolist() == [2_000_000, 3_000_000]


def test_no_hiccup_is_two_empty_arrays(tmp_path: Path) -> None:
    file = tmp_path / "hiccups.bin"
    file.touch()
    assert [len(array) for array in read_pairs(file)] == [0, 0]


def test_the_hosts_times_count_guests_once_and_waiting_for_the_disk_as_idle(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  10 1 9 60 10 1 2 7 5 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    (tmp_path / "pressure").mkdir()
    for name, total in (("cpu", 1234), ("io", 77)):
        averages = "avg10=0.10 avg60=0.00 avg300=0.00"
        text = f"some {averages} total={total}\nfull {averages} total=9\n"
        (tmp_path / "pressure" / name).write_text(text)
    times = read_host_times(tmp_path)
    assert (times.ticks, times.busy, times.steal) == (100, 30, 7)
    assert (times.cpu_waited_us, times.io_waited_us) == (1234, 77)


def test_crowding_is_the_threads_that_share_a_processor_and_never_below_one(tmp_path: Path) -> None:
    assert read_runnable(tmp_path) == 0
    (tmp_path / "stat").write_text("cpu 1 2 3\nprocs_running 7\nprocs_blocked 0\n")
    assert read_runnable(tmp_path) == 6, "whoever asks runs, too"
    assert crowding([6, 0, 2], processors=2) == pytest.approx((3 + 1 + 1) / 3)
    assert crowding([], processors=2) == 1


@pytest.mark.parametrize("stat", [None, "", "cpu 1 2 3 4\n", "intr 1 2 3 4 5 6 7 8 9\n"])
def test_a_host_that_does_not_count_has_nothing_to_tell(tmp_path: Path, stat: str | None) -> None:
    if stat is not None:
        (tmp_path / "stat").write_text(stat)
    times = read_host_times(tmp_path)
    assert (times.ticks, times.cpu_waited_us, times.io_waited_us) == (0, None, None)
    assert share(times.busy, times.busy, 0) is None


@pytest.mark.parametrize(
    ("before", "after", "of", "expected"),
    [(100, 130, 100, 0.3), (100, 99, 100, 0.0), (0, 101, 100, 1.0), (None, 1, 100, None)],
)
def test_a_share_is_between_nothing_and_all(
    before: int | None, after: int, of: int, expected: float | None
) -> None:
    # Counters of several processors are not read at one moment, and may even go back a little.
    assert share(before, after, of) == expected


def test_the_meter_watches_from_start_to_stop_and_takes_its_blocks_away(tmp_path: Path) -> None:
    meter = HostNoiseMeter(tmp_path, tmp_path / "hiccups.log")
    meter.start()
    (tmp_path / "lateness.bin").write_bytes(PAIR.pack(10**18, 2_000_000))
    noise = meter.stop(driver_cpu=0.25, lateness_p99_ns=7)
    assert noise.driver_cpu == 0.25
    assert (noise.late_at_ns.tolist(), noise.late_ns.tolist()) == ([10**18], [2_000_000])
    assert noise.lateness_p99_ns == 7
    assert noise.proxy_ns.size == 0
    assert 0 <= noise.steal <= noise.busy <= 1
    assert (noise.hiccup_ns > 1_000_000).all()
    assert (noise.disk_ns > 5_000_000).all()
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"hiccups.bin", "syncs.bin", "lateness.bin", "hiccups.log"}
    meter.kill()


def test_the_blocks_have_no_name_even_while_they_are_written(tmp_path: Path) -> None:
    meter = HostNoiseMeter(tmp_path, tmp_path / "hiccups.log")
    meter.start()
    assert not list(tmp_path.glob("gameday-witness-*"))
    meter.kill()
    assert not list(tmp_path.glob("gameday-witness-*"))


def arguments(folder: Path) -> tuple[str, ...]:
    files = (str(folder / name) for name in ("hiccups.bin", "syncs.bin", "blocks"))
    return ("-m", "gameday.load.sleeper", *files)


def test_the_sleeper_ends_with_its_input_and_leaves_no_blocks(tmp_path: Path) -> None:
    child = Child("the sleeper", arguments(tmp_path), tmp_path / "log")
    child.hear(10 * SECOND)
    assert not (tmp_path / "blocks").exists()
    assert child.end(10 * SECOND)
    assert not (tmp_path / "blocks").exists()


def test_a_disk_that_refuses_ends_the_watching_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "blocks").symlink_to("/dev/full")
    child = Child("the sleeper", arguments(tmp_path), tmp_path / "log")
    child.hear(10 * SECOND)
    with pytest.raises(InternalError, match=r"exit code 1(?s:.*)No space left on device"):
        child.hear(10 * SECOND)


def test_a_meter_that_cannot_write_says_why(tmp_path: Path) -> None:
    (tmp_path / "hiccups.bin").mkdir()
    meter = HostNoiseMeter(tmp_path, tmp_path / "hiccups.log")
    with pytest.raises(InternalError, match="Is a directory"):
        meter.start()


@pytest.mark.parametrize(("free", "raised"), [(0, OSError), (1, InternalError)])
def test_the_death_of_a_meter_is_put_down_to_its_disk_if_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, raised: type[Exception]
) -> None:
    meter = HostNoiseMeter(tmp_path, tmp_path / "hiccups.log")
    meter.start()
    (process,) = [
        child for child in psutil.Process().children() if "gameday.load.sleeper" in child.cmdline()
    ]
    process.kill()
    psutil.wait_procs([process], timeout=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    for look in (meter.check, lambda: meter.stop(driver_cpu=0)):
        with pytest.raises(raised) as seen:
            look()
        assert is_full(seen.value) == (not free)
    meter.kill()


def test_the_disk_with_the_services_data_is_the_one_that_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert hiccup._where_data_is(tmp_path) == tmp_path
    monkeypatch.setattr(tempfile, "tempdir", "/proc")  # never on the disk of anything else
    assert hiccup._where_data_is(tmp_path) == Path("/proc")


class Rounds(threading.Event):
    """Is set in the round after the last of `count`."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._left = count

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        return self._left < 0


def test_only_syncs_over_5_ms_are_written_with_when_they_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns, syncs = [SECOND], iter((4, 5, 6, 300, 1))

    def fdatasync(_file: int) -> None:
        now_ns[0] += next(syncs) * MILLISECOND

    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    out = sleeper._appended(str(tmp_path / "syncs.bin"))
    sleeper._witness_disk(out, sleeper._appended(str(tmp_path / "blocks")), Rounds(5))
    at_ns, took_ns = read_pairs(tmp_path / "syncs.bin")
    assert [ns // MILLISECOND for ns in took_ns.tolist()] == [6, 300]
    assert [ns // MILLISECOND for ns in at_ns.tolist()] == [1015, 1315]


def test_the_blocks_grow_with_each_sync_and_never_beyond_a_mebibyte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda file: sizes.append(os.fstat(file).st_size))
    out = sleeper._appended(str(tmp_path / "syncs.bin"))
    sleeper._witness_disk(out, sleeper._appended(str(tmp_path / "blocks")), Rounds(2050))
    assert sizes == [*range(512, 2**20 + 1, 512), 512, 1024]
