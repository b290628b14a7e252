"""The history as it is read: once it has ended, after its writer died, and while it grows."""

import json
import os
from bisect import bisect_right
from pathlib import Path

import numpy as np

from gameday.load.recorder import ERRORS, HISTORY, ROWS
from gameday.model.history import ROW_DTYPE, History, Rows
from gameday.model.operation import ROW, Outcome, StreamInfo

__all__ = ["LiveView", "read_history"]

_BLOCK = 1024


def read_history(folder: Path) -> History:
    """Return the history in `folder`, however its writer ended; it may still be writing.

    Rows that were taken and never finished are PENDING. A history that ended well is mapped, not
    copied; any other is a copy, because its writer may yet cut the file, and reading a mapping
    past the end of its file kills the process that does so.
    """
    description = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
    streams = tuple(StreamInfo(**stream) for stream in description["streams"])
    path = folder / ROWS
    rows: Rows
    if not description["complete"]:
        rows = _written(np.fromfile(path, ROW_DTYPE))
        # Read after the rows: a text is on disk before the first row that has its number.
        return History(rows=rows, streams=streams, errors=("", *_error_texts(folder)))
    if path.stat().st_size == 0:
        rows = np.empty(0, ROW_DTYPE)
    else:
        rows = np.memmap(path, ROW_DTYPE, mode="r")
    return History(rows=rows, streams=streams, errors=tuple(description["errors"]))


class LiveView:
    """A growing history, seen at the cost of what is new or unfinished since the last look."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds a history whose writer has said that it is ready."""
        description = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        self._streams = {stream["name"]: stream["index"] for stream in description["streams"]}
        self._file = os.open(folder / ROWS, os.O_RDONLY)
        self._rows: Rows = np.zeros(_BLOCK, ROW_DTYPE)
        self._used = 0
        self._settled = 0
        self._answered = 0

    @property
    def operations(self) -> int:
        """How many operations, of all streams, have been answered or given up so far."""
        self._look()
        return self._answered

    def since(self, at_ns: int, stream: str = "publish") -> Rows:
        """Return a copy of that stream's rows that were due after `at_ns`; KeyError if unknown."""
        number = self._streams[stream]
        self._look()
        first = bisect_right(self._rows["due_ns"], at_ns, 0, self._used)
        fresh = self._rows[first : self._used]
        mine: Rows = fresh[fresh["stream"] == number]
        return mine

    def close(self) -> None:
        """Look no more."""
        os.close(self._file)

    def _look(self) -> None:
        """Read again from the first row that was unfinished at the last look."""
        at = self._settled
        while True:
            if at + _BLOCK > len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            data = os.pread(self._file, _BLOCK * ROW.size, at * ROW.size)
            whole = len(data) // ROW.size * ROW.size
            fresh = _written(np.frombuffer(data[:whole], ROW_DTYPE).copy())
            self._rows[at : at + len(fresh)] = fresh
            at += len(fresh)
            if len(fresh) < _BLOCK:
                break
        self._used = at
        outcome = self._rows["outcome"][self._settled : at]
        pending = np.flatnonzero(outcome == Outcome.PENDING)
        self._answered = at - len(pending)
        self._settled = self._settled + int(pending[0]) if len(pending) else at


def _written(rows: Rows) -> Rows:
    """Return the leading rows that were taken, without what a store in progress left half seen."""
    empty = np.flatnonzero((rows["value"] == 0) | (rows["due_ns"] == 0))
    taken = rows[: int(empty[0])] if len(empty) else rows
    taken["outcome"][taken["done_ns"] == 0] = Outcome.PENDING
    taken["done_ns"][taken["outcome"] == Outcome.PENDING] = 0
    return taken


def _error_texts(folder: Path) -> tuple[str, ...]:
    """Return the texts of the append-only file; a last line that was cut off is none."""
    text = (folder / ERRORS).read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return tuple(json.loads(line) for line in whole.splitlines())
