"""What the listener has received: an append-only file that outlives the process."""

import json
import os
from array import array
from pathlib import Path

from resilience.reconnecting_pubsub import EntryId, fingerprint

from apps.signal import BadSignal, Signal

__all__ = ["UNREADABLE_ID", "Record"]

UNREADABLE_ID = 2**32 - 1
"""Stands for an entry that is no signal: it is kept, so that a reader can find it."""

_PAGE = 5000


class Record:
    """Every entry received, in that order, duplicates included.

    One line an entry: `[id, check, received_ns]`, a tab, and the entry's fingerprint. A line is
    one write, so a killed process leaves whole lines, or one torn line that is cut off at start.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._ends = array("Q")
        """Where each line ends: what makes a page of a long record cheap."""
        last = b""
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._size)
                    break
                self._ends.append(self._size + len(line))
                last = line
        self._last = EntryId.parse(_fingerprint(last).split()[0]) if last else None

    @property
    def last(self) -> EntryId | None:
        """The id of the entry that was appended last."""
        return self._last

    def append(self, entry_id: EntryId, payload: bytes, received_ns: int) -> None:
        """Keep an entry. When this returns, a crash of the process cannot lose it."""
        try:
            signal = Signal.parse(payload)
            entry = [signal.id, signal.check, received_ns]
        except BadSignal:
            entry = [UNREADABLE_ID, "unreadable", received_ns]
        line = b"%b\t%b\n" % (json.dumps(entry).encode(), fingerprint(entry_id, payload))
        written = os.write(self._file, line)
        if written < len(line):
            os.ftruncate(self._file, self._size)
            raise OSError("no room for the record")
        self._ends.append(self._size + len(line))
        self._last = entry_id

    def page(self, after: int) -> bytes:
        """Return the JSON of up to 5000 entries that follow the first `after`."""
        total = len(self._ends)
        first = min(after, total)
        lines = self._lines(first, min(first + _PAGE, total))
        entries = b",".join(line.partition(b"\t")[0] for line in lines)
        return b'{"entries":[%b],"total":%d}' % (entries, total)

    def contents(self) -> frozenset[bytes]:
        """Return the fingerprints of all entries."""
        return frozenset(_fingerprint(line) for line in self._lines(0, len(self._ends)))

    @property
    def _size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _lines(self, first: int, end: int) -> list[bytes]:
        if first == end:
            return []
        start = self._ends[first - 1] if first else 0
        return os.pread(self._file, self._ends[end - 1] - start, start).splitlines()


def _fingerprint(line: bytes) -> bytes:
    return line.rstrip(b"\n").partition(b"\t")[2]
