import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.model.event import Event, Note, Phase
from gameday.report.journal import Journal, read_journal

KILLED_AFTER_TELLING = """
import os, signal, sys
from pathlib import Path
from gameday.model.event import Note, Phase
from gameday.report.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(3):
    journal.on_event(Note(at_ns=number, phase=Phase.LOAD, text=f"note {number}"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_event_reads_back_equal(tmp_path: Path, events: list[Event]) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for event in events:
            journal.on_event(event)
    assert read_journal(path) == events


def test_a_sigkill_loses_no_event_that_was_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    done = subprocess.run([sys.executable, "-c", KILLED_AFTER_TELLING, str(path)], timeout=30)
    assert done.returncode == -signal.SIGKILL
    notes = [event for event in read_journal(path) if isinstance(event, Note)]
    assert [note.text for note in notes] == ["note 0", "note 1", "note 2"]


def test_each_event_is_on_disk_before_the_next_is_told(tmp_path: Path, events: list[Event]) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for told, event in enumerate(events, start=1):
            journal.on_event(event)
            assert len(read_journal(path)) == told


def test_a_torn_last_line_is_left_out_wherever_it_tore(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for number in range(2):
            journal.on_event(Note(at_ns=number, phase=Phase.LOAD, text="größer"))
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for end in range(start, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [event.at_ns for event in read_journal(path)] == [0]
    # Only the line break is missing: nothing of the event is.
    path.write_bytes(whole[:-1])
    assert [event.at_ns for event in read_journal(path)] == [0, 1]


@pytest.mark.parametrize("broken", ["{", '{"event": "Party"}', "[]", '{"event": "Note"}'])
def test_a_broken_line_before_the_last_is_told_with_its_place(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.on_event(Note(at_ns=0, phase=Phase.LOAD, text="whole"))
    path.write_bytes(path.read_bytes() + broken.encode() + b"\n")
    with pytest.raises(ValueError, match=r"journal\.jsonl:2: not an event"):
        read_journal(path)


def test_bytes_that_are_no_text_survive_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    note = Note(at_ns=0, phase=Phase.LOAD, text=os.fsdecode(b"log \xff\xfe\n two"))
    with Journal(path) as journal:
        journal.on_event(note)
    assert read_journal(path) == [note]


def test_a_journal_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for number in range(2):
        with Journal(path) as journal:
            journal.on_event(Note(at_ns=number, phase=Phase.LOAD, text=""))
    assert [event.at_ns for event in read_journal(path)] == [0, 1]
