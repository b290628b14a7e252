"""A process that keeps logs within their caps: `python -m gameday.host.log_keeper`.

Its arguments are the cap in bytes and, for each log, the number of an inherited pipe and a path.
What comes through a pipe is written until the file has that many bytes; then one line says so, and
the rest is read and dropped. So no writer ever waits for a disk or dies because it is full. The
process ends when the other ends of all pipes are closed, so it outlives a harness that dies.

A line on its input is answered by an empty one, once everything that came before it is written.
"""

import os
import selectors
import signal
import sys
from contextlib import suppress

__all__ = ["capped_line"]

_READ_BYTES = 1 << 20


def capped_line(cap_bytes: int) -> bytes:
    """Return the last line of a log that has reached its cap."""
    return (
        f"\ngameday: this log has reached its cap of {cap_bytes / 1e6:g} MB; "
        "what came later was dropped\n"
    ).encode()


class _Log:
    """One log, open until it has reached its cap."""

    def __init__(self, pipe: int, path: str, cap_bytes: int) -> None:
        self._pipe = pipe
        self._cap_bytes = cap_bytes
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._left_bytes = max(0, cap_bytes - os.fstat(self._file).st_size)
        self._nowhere = os.open(os.devnull, os.O_WRONLY)

    def take(self) -> bool:
        """Take what has come; False at its end."""
        if self._left_bytes == 0:
            return os.splice(self._pipe, self._nowhere, _READ_BYTES) > 0
        data = os.read(self._pipe, _READ_BYTES)
        kept = data[: self._left_bytes]
        self._left_bytes -= len(kept)
        self._write(kept)
        if self._left_bytes == 0:
            self._write(capped_line(self._cap_bytes))
        return bool(data)

    def _write(self, data: bytes) -> None:
        """Write as much as the disk takes; what it does not take is dropped as well."""
        with suppress(OSError):
            while data:
                data = data[os.write(self._file, data) :]


def main() -> None:
    """Keep all logs until the last pipe has come to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    cap_bytes, *pairs = sys.argv[1:]
    asked = sys.stdin.fileno()
    with selectors.DefaultSelector() as selector:
        for pipe, path in zip(pairs[::2], pairs[1::2], strict=True):
            selector.register(
                int(pipe), selectors.EVENT_READ, _Log(int(pipe), path, int(cap_bytes))
            )
        selector.register(asked, selectors.EVENT_READ)
        while any(key.data for key in selector.get_map().values()):
            if not _turn(selector, None):
                continue
            if not os.read(asked, _READ_BYTES):
                selector.unregister(asked)  # the harness is gone
                continue
            _turn(selector, 0)
            with suppress(OSError):
                os.write(1, b"\n")


def _turn(selector: selectors.BaseSelector, timeout: float | None) -> bool:
    """Take what has come through the pipes; tell whether somebody asks."""
    asks = False
    for key, _ in selector.select(timeout):
        if key.data is None:
            asks = True
        elif not key.data.take():
            selector.unregister(key.fd)
    return asks


if __name__ == "__main__":
    main()
