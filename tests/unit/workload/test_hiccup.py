from pathlib import Path

import pytest

from gameday.child import Child
from gameday.errors import InternalError
from gameday.workload.hiccup import CpuTimes, HiccupMeter, read_cpu_times, read_hiccups, steal_share
from gameday.workload.sleeper import PAIR


def test_hiccups_are_read_as_they_were_written_and_half_a_pair_is_none(tmp_path: Path) -> None:
    file = tmp_path / "hiccups.bin"
    file.write_bytes(PAIR.pack(10**18, 2_000_000) + PAIR.pack(10**18 + 5, 3_000_000) + b"\1\2\3")
    at_ns, late_ns = read_hiccups(file)
    assert at_ns.tolist() == [10**18, 10**18 + 5]
    assert late_ns.tolist() == [2_000_000, 3_000_000]


def test_no_hiccup_is_two_empty_arrays(tmp_path: Path) -> None:
    file = tmp_path / "hiccups.bin"
    file.touch()
    assert [len(array) for array in read_hiccups(file)] == [0, 0]


def test_steal_is_its_share_of_all_time_with_guests_counted_once(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 0 10 70 0 0 0 10 5 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    before = read_cpu_times(stat)
    assert before == CpuTimes(total=100, steal=10)
    assert steal_share(before, CpuTimes(total=200, steal=15)) == 0.05


def test_a_host_that_counts_no_steal_has_none(tmp_path: Path) -> None:
    assert read_cpu_times(tmp_path / "none") is None
    (tmp_path / "old").write_text("cpu 1 2 3 4\n")
    assert read_cpu_times(tmp_path / "old") is None
    assert steal_share(None, CpuTimes(total=1, steal=1)) == 0.0


def test_the_meter_watches_from_start_to_stop(tmp_path: Path) -> None:
    meter = HiccupMeter(tmp_path / "hiccups.bin", tmp_path / "hiccups.log")
    meter.start()
    noise = meter.stop(driver_cpu=0.25)
    assert noise.driver_cpu == 0.25
    assert 0 <= noise.steal <= 1
    assert (noise.hiccup_ns > 1_000_000).all()
    meter.kill()


def test_the_sleeper_ends_with_its_input(tmp_path: Path) -> None:
    arguments = ("-m", "gameday.workload.sleeper", str(tmp_path / "hiccups.bin"))
    child = Child("the sleeper", arguments, tmp_path / "log")
    child.hear(10 * 10**9)
    assert child.end(10 * 10**9)


def test_a_meter_that_cannot_write_says_why(tmp_path: Path) -> None:
    meter = HiccupMeter(tmp_path / "missing" / "hiccups.bin", tmp_path / "hiccups.log")
    with pytest.raises(InternalError, match="No such file or directory"):
        meter.start()
