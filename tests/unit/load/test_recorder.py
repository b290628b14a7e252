import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.load.reader import LiveView, read_history
from gameday.load.recorder import ERRORS, HISTORY, ROWS, Recorder
from gameday.model.operation import Outcome, StreamInfo

STREAMS = tuple(
    StreamInfo(index=i, name=name, rate_per_s=100.0, deadline_ns=10**9)
    for i, name in enumerate(("publish", "probe-front"))
)


def _recorder(folder: Path, capacity: int = 5000) -> Recorder:
    return Recorder(folder, run="ab12", streams=STREAMS, capacity=capacity)


def _in_a_killed_process(work: Callable[[], None]) -> None:
    """Do `work` in a process that is then gone at once, with nothing flushed or closed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(9)
    assert os.waitpid(child, 0)[1] == 9 << 8


def test_a_finished_history_holds_exactly_what_was_recorded(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    recorder.begin(5)
    first = recorder.due(0, 1, 100)
    second = recorder.due(1, 2**32 - 1, 200)
    recorder.sent(first, 110)
    recorder.done(first, 120, Outcome.OK)
    recorder.done(second, 220, Outcome.FAILED, "refused")
    recorder.close()
    history = read_history(tmp_path)
    assert history.rows.tolist() == [
        (100, 110, 120, 1, 0, 0, Outcome.OK),
        (200, 0, 220, 2**32 - 1, 1, 1, Outcome.FAILED),
    ]
    assert history.errors == ("", "refused")
    assert history.streams == STREAMS
    assert history.of("probe-front")["due_ns"].tolist() == [200]
    assert json.loads((tmp_path / HISTORY).read_text())["start_ns"] == 5


def test_a_finished_history_is_two_files_and_not_a_byte_longer_than_its_rows(
    tmp_path: Path,
) -> None:
    recorder = _recorder(tmp_path)
    recorder.due(0, 1, 100)
    recorder.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [ROWS, HISTORY]
    assert (tmp_path / ROWS).stat().st_size == 32


def test_an_empty_history_can_be_read(tmp_path: Path) -> None:
    _recorder(tmp_path).close()
    assert len(read_history(tmp_path).rows) == 0


def test_nothing_is_lost_when_the_writer_is_gone_at_once(tmp_path: Path) -> None:
    def work() -> None:
        recorder = _recorder(tmp_path)
        for value in range(1, 1001):
            slot = recorder.due(0, value, 1000 * value)
            recorder.sent(slot, 1000 * value + 1)
            if value % 2:
                recorder.done(slot, 1000 * value + 2, Outcome.UNKNOWN, f"reset {value % 7}")

    _in_a_killed_process(work)
    history = read_history(tmp_path)
    assert history.rows["value"].tolist() == list(range(1, 1001))
    assert (history.rows["sent_ns"] == history.rows["due_ns"] + 1).all()
    ended = history.rows[history.rows["outcome"] == Outcome.UNKNOWN]
    assert ended["value"].tolist() == list(range(1, 1001, 2))
    assert [history.errors[row["error"]] for row in ended[:3]] == ["reset 1", "reset 3", "reset 5"]
    pending = history.rows[history.rows["outcome"] == Outcome.PENDING]
    assert len(pending) == 500


def test_an_error_text_that_was_cut_off_is_not_taken_for_one(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    recorder.done(recorder.due(0, 1, 1), 2, Outcome.FAILED, "refused")
    with (tmp_path / ERRORS).open("a") as errors:
        errors.write('"conn')
    assert read_history(tmp_path).errors == ("", "refused")
    recorder.close()


def test_a_store_that_was_cut_off_is_not_taken_for_a_row_or_an_answer(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    slot = recorder.due(0, 1, 100)
    recorder.sent(slot, 110)
    words = np.memmap(tmp_path / ROWS, "<u8", mode="r+")
    words[slot * 4 + 2] = 120
    words[slot * 4 + 4] = 200
    assert read_history(tmp_path).rows.tolist() == [(100, 110, 0, 1, 0, 0, Outcome.PENDING)]
    recorder.close()


def test_a_file_that_was_cut_within_a_row_gives_the_whole_rows(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    for value in (1, 2, 3):
        recorder.due(0, value, 100 + value)
    _copy = tmp_path / "copy"
    _copy.mkdir()
    (_copy / ROWS).write_bytes((tmp_path / ROWS).read_bytes()[:80])
    (_copy / HISTORY).write_bytes((tmp_path / HISTORY).read_bytes())
    (_copy / ERRORS).write_bytes(b"")
    assert read_history(_copy).rows["value"].tolist() == [1, 2]
    recorder.close()


def test_endless_new_error_texts_end_in_one_that_says_so(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    for value in range(1, 2001):
        recorder.done(recorder.due(0, value, value), value, Outcome.FAILED, f"error {value}")
    recorder.close()
    history = read_history(tmp_path)
    assert len(history.errors) <= 1001
    assert history.errors[history.rows[998]["error"]] == "error 999"
    assert "not kept" in history.errors[history.rows[1999]["error"]]


def test_a_long_error_text_is_kept_once(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    for value in (1, 2):
        recorder.done(recorder.due(0, value, value), value, Outcome.FAILED, "x" * 1000)
    recorder.close()
    assert read_history(tmp_path).errors == ("", "x" * 200)


def test_a_disk_that_cannot_hold_it_is_an_error_before_anything_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _offset: int, _length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        _recorder(tmp_path)


@given(
    ops=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(Outcome)), max_size=60),
    looks=st.sets(st.integers(0, 60)),
)
def test_a_live_view_always_agrees_with_reading_everything(
    tmp_path_factory: pytest.TempPathFactory,
    ops: list[tuple[int, Outcome]],
    looks: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("live")
    recorder = _recorder(folder, capacity=60)
    view = LiveView(folder)
    open_slots: list[tuple[int, Outcome]] = []
    for number, (stream, outcome) in enumerate(ops):
        open_slots.append((recorder.due(stream, number + 1, 10 * (number + 1)), outcome))
        if number in looks:
            while open_slots:
                slot, then = open_slots.pop()
                if then is not Outcome.PENDING:
                    recorder.done(slot, 10**6, then)
            _agree(view, folder)
    _agree(view, folder)
    recorder.close()
    _agree(view, folder)
    view.close()


def _agree(view: LiveView, folder: Path) -> None:
    history = read_history(folder)
    assert view.operations == np.count_nonzero(history.rows["outcome"])
    for stream in STREAMS:
        of = history.of(stream.name)
        for at_ns in (-1, 100, 305):
            seen = view.since(at_ns, stream.name)
            assert seen.tolist() == of[of["due_ns"] > at_ns].tolist()


def test_a_live_view_follows_a_history_over_many_blocks(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path, capacity=5000)
    view = LiveView(tmp_path)
    for value in range(1, 5001):
        recorder.done(recorder.due(0, value, value), value + 1, Outcome.OK)
        if value % 700 == 0:
            assert view.operations == value
    assert view.operations == 5000
    assert view.since(4990)["value"].tolist() == list(range(4991, 5001))
    recorder.close()
    assert len(view.since(0)) == 5000
    view.close()


def test_a_live_view_of_an_unknown_stream_is_a_key_error(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    view = LiveView(tmp_path)
    with pytest.raises(KeyError, match="probe-direct"):
        view.since(0, "probe-direct")
    view.close()
    recorder.close()
