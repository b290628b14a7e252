"""Control groups as files: the same limits in the words of either version."""

from pathlib import Path

import pytest

from gameday.api.bounds import Resource
from gameday.host.cgroup import Cgroup, fine_period_us
from gameday.runtimes.block_io import _moved, _rates, _set

MIB = 1024 * 1024
CASES: list[tuple[int, Resource, dict[str, str], int, dict[str, str]]] = [
    (
        1,
        "cpu",
        {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
        250,
        {"cpu.cfs_quota_us": "25000", "cpu.cfs_period_us": "100000"},
    ),
    (2, "cpu", {"cpu.max": "max 100000"}, 250, {"cpu.max": "25000 100000"}),
    (
        1,
        "memory",
        {
            "memory.limit_in_bytes": "9223372036854771712",
            "memory.memsw.limit_in_bytes": "9223372036854771712",
        },
        64 * MIB,
        {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864"},
    ),
    (
        2,
        "memory",
        {"memory.max": "max", "memory.swap.max": "max"},
        64 * MIB,
        {"memory.max": "67108864", "memory.swap.max": "0"},
    ),
    (1, "pids", {"pids.max": "max"}, 20, {"pids.max": "20"}),
    (2, "pids", {"pids.max": "max"}, 20, {"pids.max": "20"}),
]


@pytest.mark.parametrize(
    ("version", "resource", "free", "limit", "held"), CASES, ids=[f"{c[1]}-{c[0]}" for c in CASES]
)
def test_a_limit_is_written_and_read_in_the_words_of_its_version(
    tmp_path: Path,
    version: int,
    resource: Resource,
    free: dict[str, str],
    limit: int,
    held: dict[str, str],
) -> None:
    for name, text in free.items():
        (tmp_path / name).write_text(f"{text}\n")
    cgroup = Cgroup(path=tmp_path, version=version, resource=resource)
    assert cgroup.limit() is None
    cgroup.set_limit(limit)
    assert {name: (tmp_path / name).read_text() for name in held} == held
    assert cgroup.limit() == limit
    cgroup.set_limit(None)
    if (version, resource) != (1, "memory"):  # there the kernel makes its greatest number of it
        assert cgroup.limit() is None


@pytest.mark.parametrize(
    ("limit", "quota", "period"), [(10, 1000, 100_000), (300, 1000, 3334), (1500, 1500, 1000)]
)
def test_a_limit_counted_finely_is_the_same_limit(
    tmp_path: Path, limit: int, quota: int, period: int
) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    cgroup = Cgroup(path=tmp_path, version=2, resource="cpu")
    cgroup.set_limit(limit, fine_period_us(limit))
    assert (tmp_path / "cpu.max").read_text() == f"{quota} {period}"
    assert cgroup.limit() == limit


@pytest.mark.parametrize(
    ("version", "resource", "name", "text", "number"),
    [
        (1, "cpu", "cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 7\n", 4),
        (2, "cpu", "cpu.stat", "usage_usec 1\nnr_periods 9\nnr_throttled 4\n", 4),
        (1, "memory", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2),
        (2, "memory", "memory.events", "low 0\nmax 9\noom 3\noom_kill 2\n", 2),
        (2, "pids", "pids.events", "max 5\n", 5),
    ],
)
def test_what_was_denied_is_counted_by_the_kernel(
    tmp_path: Path, version: int, resource: Resource, name: str, text: str, number: int
) -> None:
    cgroup = Cgroup(path=tmp_path, version=version, resource=resource)
    assert cgroup.denials() == 0, "in the root nobody counts"
    (tmp_path / name).write_text(text)
    assert cgroup.denials() == number


def test_the_throttle_of_version_2_leaves_other_devices_alone(tmp_path: Path) -> None:
    cgroup = Cgroup(path=tmp_path, version=2, resource="io")
    (tmp_path / "io.max").write_text("8:0 rbps=1 wbps=2 riops=max\n254:0 rbps=max wbps=5\n")
    (tmp_path / "io.stat").write_text("8:0 rbytes=9 wbytes=9\n254:0 rbytes=3 wbytes=4 rios=1\n")
    assert _rates(cgroup, "254:0") == (None, 5)
    assert _rates(cgroup, "7:0") == (None, None)
    assert _moved(cgroup, "254:0") == (3, 4)
    _set(cgroup, "254:0", (1000, None))
    assert (tmp_path / "io.max").read_text() == "254:0 rbps=1000 wbps=max"


def test_the_throttle_of_version_1_reads_one_device(tmp_path: Path) -> None:
    cgroup = Cgroup(path=tmp_path, version=1, resource="io")
    read, write = (tmp_path / f"blkio.throttle.{way}_bps_device" for way in ("read", "write"))
    _set(cgroup, "254:0", (1000, None))
    assert (read.read_text(), write.read_text()) == ("254:0 1000", "254:0 0")
    assert _rates(cgroup, "254:0") == (1000, None)
    assert _rates(cgroup, "8:0") == (None, None)
    (tmp_path / "blkio.throttle.io_service_bytes").write_text(
        "8:0 Read 1\n254:0 Read 3\n254:0 Write 4\n254:0 Sync 7\nTotal 8\n"
    )
    assert _moved(cgroup, "254:0") == (3, 4)
