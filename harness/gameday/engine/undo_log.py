"""The write-ahead record: how to heal is on disk before there is anything to heal."""

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gameday.model.event import Scalar

__all__ = ["UndoRecord"]


class UndoRecord:
    """One file a run, one JSON line a fact, each synced to the disk before the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        # The names of the file and of its folder have to survive, too.
        for folder in path.absolute().parents[:2]:
            entry = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(entry)
            finally:
                os.close(entry)

    def write(self, **facts: Scalar) -> None:
        """Add one line and return once it would survive a crash of the host."""
        self._file.write(json.dumps(facts) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what a full disk has not taken was told when it was written
            self._file.close()
