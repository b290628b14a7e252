"""A gameday process that speaks in lines of JSON and dies with its parent."""

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from gameday.errors import InternalError
from gameday.host.variables import for_own
from gameday.model.clock import MILLISECOND, SECOND

__all__ = ["Child", "Message", "cap_stderr"]

Message = Mapping[str, str | int | float | bool]

_TAIL_BYTES = 2000
_TAIL_LINES = 5
_HEADS = ("Traceback (", "During handling of", "The above exception")
_MOST_CHARS = 1_000_000
_KILL_LIMIT_S = 5.0


class Child:
    """A Python module run as a process; every wait for it is bounded.

    It has a session of its own, so Ctrl-C does not reach it. It must end when its input does: that
    is how it notices that its parent is gone. It never imports a module from the user's working
    folder, whatever its name.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start `python -P ARGUMENTS`; what it writes to its stderr goes to `log`."""
        self.name = name
        self._log = log
        self._data = b""
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=for_own(),
                start_new_session=True,
                bufsize=0,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise InternalError, with the end of its log, if the process has ended."""
        if self._process.poll() is not None:
            raise self._ended()

    def say(self, line: str) -> None:
        """Send a line; InternalError if the process has ended."""
        try:
            self._in.write(line.encode() + b"\n")
        except BrokenPipeError:
            self._wait(SECOND)
            raise self._ended() from None

    def hear(self, timeout_ns: int) -> Message:
        """Return the next line it writes; InternalError if none comes in time or it has ended."""
        limit_ns = time.monotonic_ns() + timeout_ns
        while b"\n" not in self._data:
            left_ns = limit_ns - time.monotonic_ns()
            if left_ns <= 0:
                raise InternalError(
                    f"{self.name} (pid {self.pid}) did not answer within "
                    f"{timeout_ns / SECOND:.1f} s{self._tail()}"
                )
            if not select.select([self._out], [], [], left_ns / SECOND)[0]:
                continue
            data = os.read(self._out.fileno(), 1 << 16)
            if not data:
                self._wait(SECOND)
                raise self._ended()
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        message: Message = json.loads(line)
        return message

    def heard(self) -> Message | None:
        """Return the next line it has written, if there is one; InternalError if it has ended."""
        while b"\n" not in self._data and select.select([self._out], [], [], 0)[0]:
            data = os.read(self._out.fileno(), 1 << 16)
            if not data:
                self._wait(SECOND)
                raise self._ended()
            self._data += data
        return self.hear(SECOND) if b"\n" in self._data else None

    def end(self, timeout_ns: int) -> bool:
        """Close its input and tell whether it ended by itself in time; else it is killed."""
        self._close_input()
        ended = self._wait(timeout_ns)
        self.kill()
        return ended

    def kill(self) -> None:
        """Make sure that it is gone. Doing it again is no error."""
        self._close_input()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(_KILL_LIMIT_S)
        self._out.close()

    def _close_input(self) -> None:
        if not self._in.closed:
            self._in.close()

    def _wait(self, timeout_ns: int) -> bool:
        try:
            self._process.wait(max(timeout_ns, MILLISECOND) / SECOND)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _ended(self) -> InternalError:
        code = self._process.returncode
        if code is None:
            how = "closed its output and is still running"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        return InternalError(f"{self.name} (pid {self.pid}) {how}{self._tail()}")

    def _tail(self) -> str:
        """Return the end of its log in one line; the frames of tracebacks are left out."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        lines = [line for line in lines if line.strip()]
        told = [line for line in lines if not line[0].isspace() and not line.startswith(_HEADS)]
        text = " | ".join((told or lines)[-_TAIL_LINES:])
        return f"; the end of {self._log}: {text}" if text else f"; {self._log} is empty"


def cap_stderr(most_chars: int = _MOST_CHARS) -> None:
    """Let this process write so much to its log: what fails at every operation fails often."""
    sys.stderr = _Capped(sys.stderr, most_chars)


class _Capped(io.TextIOBase):
    """A stream that drops everything beyond its cap, and says so once."""

    def __init__(self, stream: TextIO, most_chars: int) -> None:
        self._stream = stream
        self._left = most_chars

    def write(self, text: str) -> int:
        if self._left > 0:
            self._stream.write(text[: self._left])
            self._left -= len(text)
            if self._left <= 0:
                self._stream.write("\ngameday: this log has reached its cap\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
