"""The logs of services that are processes: each has a cap, behind a pipe that never fills up."""

import fcntl
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gameday.host.variables import for_own

__all__ = ["LOG_CAP_BYTES", "Logs"]

LOG_CAP_BYTES = 64_000_000
"""What is kept of one log."""

_KEEPER = "gameday.host.log_keeper"
_PIPE_BYTES = 1 << 20
"""So much may come while the keeper waits for a processor or a disk."""
_SETTLE_LIMIT_S = 1.0
_END_LIMIT_S = 2.0


class Logs:
    """Pipes to write logs to, and the process that keeps what comes through them.

    Both ends of each pipe are held here: a service whose keeper is gone gets no SIGPIPE.
    """

    def __init__(self, files: Mapping[str, Path], cap_bytes: int = LOG_CAP_BYTES) -> None:
        """`files` are those of the logs, by the name of who writes there."""
        self.files = files
        self._asking = threading.Lock()
        self._pipes = {name: os.pipe() for name in files}
        for _, writer in self._pipes.values():
            with suppress(OSError):  # a user may have only so much memory in pipes
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        readers = {name: reader for name, (reader, _) in self._pipes.items()}
        pairs = [str(word) for name, file in files.items() for word in (readers[name], file)]
        self._keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", _KEEPER, str(cap_bytes), *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=list(readers.values()),
            env=for_own(),
            bufsize=0,
        )

    def writer(self, name: str) -> int:
        """Return the pipe that whoever has that name writes its log to."""
        return self._pipes[name][1]

    def settle(self) -> None:
        """Wait, a second at most, until all that was written by now is in the files."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with self._asking, suppress(OSError):
            self._keeper.stdin.write(b"\n")
            if select.select([self._keeper.stdout], [], [], _SETTLE_LIMIT_S)[0]:
                os.read(self._keeper.stdout.fileno(), 1)

    def stop(self) -> None:
        """Let the keeper end once the last writer has; one that does not is killed."""
        for pipe in self._pipes.values():
            for end in pipe:
                os.close(end)
        self._pipes = {}
        try:
            self._keeper.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait(_END_LIMIT_S)
        for stream in (self._keeper.stdin, self._keeper.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
