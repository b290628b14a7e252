"""What a service said in its log before it failed, short enough for one line of a report."""

import re
from pathlib import Path

from gameday.model.facts import one_line

__all__ = ["last_words", "last_words_in"]

_MOST_LINES = 4
_MOST_CHARS = 200
_MOST_BYTES = 64_000
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_HEADS = ("Traceback (most recent", "During handling of the above", "The above exception was")


def last_words_in(log: Path) -> str:
    """Return the end of the log in a file, which has the service's name."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _MOST_BYTES))
        return last_words(log.stem, file.read(_MOST_BYTES))


def last_words(name: str, log: bytes) -> str:
    """Return the end of a service's log as a clause to append to an error, with its file's name.

    The frames of tracebacks are left out: what was raised stands below them. Nothing of it can
    move a terminal's cursor or be taken for a command of a CI server.
    """
    text = _ESCAPES.sub("", log[-_MOST_BYTES:].decode(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line[0].isspace() and not line.startswith(_HEADS)]
    words = [one_line(line)[:_MOST_CHARS] for line in (told or lines)[-_MOST_LINES:]]
    file = f"logs/{name}.log"
    return f"; {file} ends with: {' | '.join(words)}" if words else f"; {file} is empty"
