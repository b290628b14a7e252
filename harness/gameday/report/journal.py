"""The journal: every event of a run on disk as it happens, one JSON line each."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from gameday.model.event import Event, event_from_json, event_to_json
from gameday.model.result import Result

__all__ = ["Journal", "read_journal"]


class Journal:
    """A file that holds every event told so far, whatever becomes of this process.

    Each line is handed to the operating system in one unbuffered write, so a SIGKILL loses nothing
    and tears at most the line that was being written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def on_event(self, event: Event) -> None:
        # A lone surrogate (bytes of a log that were not UTF-8) becomes its JSON escape.
        line = memoryview((event_to_json(event) + "\n").encode("utf-8", "backslashreplace"))
        while line:
            line = line[self._file.write(line) :]

    def on_result(self, result: Result) -> None:
        """Put the journal on the disk itself; the result has a file of its own."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the journal; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_journal(path: Path) -> list[Event]:
    """Return the events of a journal, without the last line if that was torn.

    Raises ValueError, with file and line, for a line before the last that holds no event.
    """
    lines = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            events.append(event_from_json(line.decode("utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):
                # A whole line ends with a line break, so this one was still being written.
                break
            raise ValueError(f"{path}:{number}: not an event: {error}") from error
    return events
