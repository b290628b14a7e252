"""A full disk is told in one line, before a run begins where it can be known."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from gameday.engine.undo_log import UndoRecord
from gameday.host.full_disk import is_full, lacks_room, no_room


@pytest.mark.parametrize(
    ("number", "full"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EFBIG, True), (errno.EIO, False)],
)
def test_a_full_disk_is_told_from_other_errors(number: int, full: bool) -> None:
    assert is_full(OSError(number, "why")) is full


def test_what_is_no_error_of_a_disk_is_no_full_one() -> None:
    assert not is_full(ValueError("No space left on device"))


def test_one_line_says_which_file_had_no_room() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/r/plan.json")
    assert no_room(error) == (
        "the disk of the reports is full (No space left on device for /r/plan.json): not "
        "everything could be kept; make room, or choose another folder by --gameday-reports"
    )


def test_a_run_that_has_no_room_for_its_history_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000_000))
    assert lacks_room(tmp_path, 10_000_000) is None
    lack = lacks_room(tmp_path / "run", 30_000_000)
    assert lack is not None
    assert f"reports folder {tmp_path}: its disk is full: 20 MB are free" in lack
    assert "38 MB, 30 MB of them for its history" in lack
    assert "\n" not in lack


def test_the_undo_record_is_closed_on_a_full_disk() -> None:
    record = UndoRecord(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"), record:
        record.write(state="will inject")
