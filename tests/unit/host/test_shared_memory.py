"""Which segments of shared memory belong to the servers of a folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.host import shared_memory
from gameday.host.shared_memory import mapped_by, segments_in

LOCK = "{pid}\n/data\n1700000000\n5432\n\n127.0.0.1\n {key:>9} {number:>9}\nready\n"
ROWS = """\
       key      shmid perms                  size  cpid  lpid nattch   uid
  91234567         32   600                    56   100   100      0     {uid}
  91234568         33   600                    56   200   200      6     {uid}
  91234569         34   600                    56   100   100      0     4242
"""


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "shm"
    file.write_text(ROWS.format(uid=os.geteuid()))
    monkeypatch.setattr(shared_memory, "_SEGMENTS", file)


def lock(folder: Path, text: str) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "postmaster.pid").write_text(text)


@pytest.mark.parametrize(
    ("pid", "number", "found"),
    [(100, 32, (32,)), (-100, 32, (32,)), (100, 33, ()), (100, 34, ()), (100, 35, ())],
    ids=[
        "a server's",
        "that of one that makes data",
        "another process's",
        "another user's",
        "gone already",
    ],
)
def test_a_segment_is_that_of_the_process_that_the_lock_file_names(
    tmp_path: Path, pid: int, number: int, found: tuple[int, ...]
) -> None:
    lock(tmp_path / "run" / "db", LOCK.format(pid=pid, key=91234567, number=number))
    assert segments_in(tmp_path / "run") == found
    assert segments_in(tmp_path / "run" / "db") == found


@pytest.mark.parametrize("text", ["", "100\n", "100\n/data\n1\n5432\n\n\n\n", "x\n" * 8])
def test_a_torn_lock_file_names_none(tmp_path: Path, text: str) -> None:
    lock(tmp_path / "run" / "db", text)
    assert segments_in(tmp_path / "run") == ()


def test_where_the_system_does_not_tell_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "_SEGMENTS", tmp_path / "nothing")
    lock(tmp_path / "run" / "db", LOCK.format(pid=100, key=1, number=32))
    assert segments_in(tmp_path / "run") == ()


def test_a_lock_file_that_is_a_link_or_another_users_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(tmp_path / "elsewhere", LOCK.format(pid=100, key=1, number=32))
    told = tmp_path / "elsewhere" / "data" / "postmaster.pid"
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "postmaster.pid").symlink_to(told)
    assert segments_in(tmp_path / "run") == ()
    assert segments_in(tmp_path / "elsewhere") == (32,)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert segments_in(tmp_path / "elsewhere") == ()


MAPS = """
import mmap, os, sys, time
held = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 4096)
print(flush=True)
time.sleep(60)
"""


def test_only_the_very_file_that_a_process_has_mapped_is_its_own(tmp_path: Path) -> None:
    name = f"PostgreSQL.{os.getpid()}"
    real, alike = Path("/dev/shm") / name, tmp_path / "dev" / "shm" / name
    alike.parent.mkdir(parents=True)
    for file in (real, alike):
        file.write_bytes(bytes(4096))
    mappers = [
        subprocess.Popen([sys.executable, "-c", MAPS, file], stdout=subprocess.PIPE)
        for file in (real, alike)
    ]
    try:
        for mapper in mappers:
            assert mapper.stdout is not None
            mapper.stdout.readline()
        assert [mapped_by(mapper.pid) for mapper in mappers] == [{real}, set()]
        real.unlink()
        real.write_bytes(b"another one of that name")
        assert mapped_by(mappers[0].pid) == set()
    finally:
        real.unlink()
        for mapper in mappers:
            mapper.send_signal(signal.SIGKILL)
            mapper.communicate()
