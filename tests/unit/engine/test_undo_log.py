"""How to heal is on the disk, by its name, before there is anything to heal."""

from pathlib import Path

import pytest

from gameday.engine.undo_log import UndoRecord


def test_the_record_and_its_name_are_on_the_disk_before_anything_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        "gameday.engine.undo_log.os.fsync",
        lambda entry: synced.append(Path(f"/proc/self/fd/{entry}").resolve()),
    )
    with UndoRecord(tmp_path / "undo.jsonl") as record:
        assert synced == [tmp_path, tmp_path.parent]
        record.write(state="will inject")
    assert synced[2:] == [tmp_path / "undo.jsonl"]
