"""The history as it is written: rows of 32 bytes in a mapped file, which outlives its writer."""

import json
import mmap
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gameday.model.operation import ROW, ROW_FIELDS, Outcome, StreamInfo

__all__ = ["ERRORS", "HISTORY", "LATENESS", "ROWS", "Recorder"]

ROWS = "history.bin"
HISTORY = "history.json"
LATENESS = "lateness.bin"
"""When the driver took an operation up over 1 ms late, and how late: written at its end."""
ERRORS = "errors.jsonl"
"""Holds the error texts while the history grows; a history that ended well has none."""

_MOST_TEXTS = 1000
_LONGEST_TEXT = 200
_FURTHER = "a further error text, which was not kept"

# A row is four words: due, sent, done, and this one of value, error, stream and outcome.
_ERROR, _STREAM, _OUTCOME = 32, 48, 56


class Recorder:
    """What it has been told is in the file at once: kill -9 of the process loses none of it.

    A slot is taken when an operation comes due, so that the order of rows is the order of due.
    Each word of a row is one 8-byte store and the one that tells the outcome comes last: neither
    a reader nor a kill between two stores can meet an outcome without its times.
    """

    def __init__(
        self, folder: Path, *, run: str, streams: Sequence[StreamInfo], capacity: int
    ) -> None:
        """Make the files in `folder`; OSError when the disk cannot hold `capacity` rows."""
        self.rows = 0
        self.capacity = max(1, capacity)
        self._folder = folder
        self._run = run
        self._streams = tuple(streams)
        self._start_ns = 0
        self._texts: dict[str, int] = {"": 0}
        self._errors = os.open(folder / ERRORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._file = os.open(folder / ROWS, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        # Space is taken now: a full disk is an error here, and would be a SIGBUS later.
        os.posix_fallocate(self._file, 0, self.capacity * ROW.size)
        self._map = mmap.mmap(self._file, self.capacity * ROW.size)
        self._bytes = memoryview(self._map)
        self._words = self._bytes.cast("Q")
        self._describe(complete=False)

    def begin(self, start_ns: int) -> None:
        """Note when the load begins."""
        self._start_ns = start_ns
        self._describe(complete=False)

    def due(self, stream: int, value: int, due_ns: int) -> int:
        """Take the next slot for an operation that is due, and return its number.

        `value` is at least 1, which tells the row from one that was never written.
        """
        slot = self.rows
        word = slot * 4
        self._words[word] = due_ns
        self._words[word + 3] = value | stream << _STREAM
        self.rows = slot + 1
        return slot

    def sent(self, slot: int, sent_ns: int) -> None:
        """Note that the first byte of the operation is about to be handed to the socket."""
        self._words[slot * 4 + 1] = sent_ns

    def done(self, slot: int, done_ns: int, outcome: Outcome, error: str = "") -> None:
        """Note what became of the operation; once for each slot."""
        number = self._texts.get(error)
        if number is None:
            number = self._intern(error)
        words, word = self._words, slot * 4
        words[word + 2] = done_ns
        words[word + 3] |= number << _ERROR | outcome << _OUTCOME

    def close(self) -> None:
        """End the history: the file is cut to its used rows and described in full."""
        self._words.release()
        self._bytes.release()
        self._map.close()
        os.truncate(self._file, self.rows * ROW.size)
        os.close(self._file)
        self._describe(complete=True)
        os.close(self._errors)
        (self._folder / ERRORS).unlink()

    def _intern(self, text: str) -> int:
        kept = text[:_LONGEST_TEXT] if len(self._texts) < _MOST_TEXTS else _FURTHER
        number = self._texts.get(kept)
        if number is None:
            # On disk before the first row uses its number.
            os.write(self._errors, json.dumps(kept).encode() + b"\n")
            number = self._texts[kept] = len(self._texts)
        return number

    def _describe(self, *, complete: bool) -> None:
        description = {
            "run": self._run,
            "start_ns": self._start_ns,
            "complete": complete,
            "row_bytes": ROW.size,
            "row_fields": ROW_FIELDS,
            "rows": self.rows,
            "outcomes": {outcome.name.lower(): int(outcome) for outcome in Outcome},
            "streams": [asdict(stream) for stream in self._streams],
            "errors": list(self._texts),
        }
        beside = self._folder / f".{HISTORY}"
        beside.write_text(json.dumps(description, indent=1), encoding="utf-8")
        beside.replace(self._folder / HISTORY)
