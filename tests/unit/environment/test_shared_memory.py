"""Which segments of shared memory belong to the servers of a folder."""

from pathlib import Path

import pytest

from gameday.environment import shared_memory
from gameday.environment.shared_memory import segments_in

LOCK = "{pid}\n/data\n1700000000\n5432\n\n127.0.0.1\n {key:>9} {number:>9}\nready\n"
ROWS = """\
       key      shmid perms                  size  cpid  lpid nattch   uid
  91234567         32   600                    56   100   100      0   101
  91234568         33   600                    56   200   200      6   101
"""


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "shm"
    file.write_text(ROWS)
    monkeypatch.setattr(shared_memory, "_SEGMENTS", file)


def lock(folder: Path, text: str) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "postmaster.pid").write_text(text)


@pytest.mark.parametrize(
    ("pid", "number", "found"),
    [(100, 32, (32,)), (-100, 32, (32,)), (100, 33, ()), (100, 34, ())],
    ids=["a server's", "that of one that makes data", "somebody else's", "gone already"],
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
