"""A sleeper of 1 ms in a process of its own, `python -m gameday.workload.sleeper FILE`.

Every wake-up that is over 1 ms late is written to FILE as two int64: when, and how late, in
nanoseconds. The process ends with its input.
"""

import os
import select
import signal
import struct
import sys
import time

from gameday.model.clock import MILLISECOND

__all__ = ["PAIR", "main"]

PAIR = struct.Struct("<qq")
"""When it woke, and how late that was."""

_SLEEP_S = 0.001
_LOOKS = 64
"""Sleeps between two looks at the input; a look at each would be most of the work."""


def main(path: str) -> None:
    """Write late wake-ups to `path` until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    source = sys.stdin.fileno()
    os.write(sys.stdout.fileno(), b'{"ready": true}\n')
    while True:
        for _ in range(_LOOKS):
            asleep_ns = time.monotonic_ns()
            time.sleep(_SLEEP_S)
            awake_ns = time.monotonic_ns()
            late_ns = awake_ns - asleep_ns - MILLISECOND
            if late_ns > MILLISECOND:
                os.write(out, PAIR.pack(awake_ns, late_ns))
        if select.select([source], [], [], 0)[0] and not os.read(source, 4096):
            return


if __name__ == "__main__":
    main(sys.argv[1])
