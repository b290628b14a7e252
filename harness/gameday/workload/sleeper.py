"""The witness of the host, `python -m gameday.workload.sleeper HICCUPS SYNCS BLOCKS`.

A sleeper of 1 ms writes every wake-up that is over 1 ms late to the file HICCUPS. Beside it, each
50 ms, a block is appended to the file BLOCKS and synced to the disk; every sync that took over
5 ms is written to the file SYNCS. Both files are pairs of int64: when it ended, and how long that
was, in nanoseconds. The process ends with its input.
"""

import os
import select
import signal
import struct
import sys
import threading
import time
from pathlib import Path

from gameday.model.clock import MILLISECOND

__all__ = ["PAIR", "main"]

PAIR = struct.Struct("<qq")
"""When it ended, and how late or how long that was."""

_SLEEP_S = 0.001
_LOOKS = 64
"""Sleeps between two looks at the input; a look at each would be most of the work."""
_BETWEEN_SYNCS_S = 0.050
_SLOW_SYNC_NS = 5 * MILLISECOND
_BLOCK = bytes(512)
_MOST_BYTES = 1 << 20


def main(hiccups: str, syncs: str, blocks: str) -> None:
    """Write what is seen until the input ends; raise SystemExit when the disk refuses."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = _appended(hiccups)
    over = threading.Event()
    # A thread, because a sync holds no lock of Python's: the sleeper does not notice it.
    block_file = _appended(blocks)
    # Without a name at once: however this process ends, no blocks are left.
    Path(blocks).unlink()
    disk = threading.Thread(
        target=_witness_disk, args=(_appended(syncs), block_file, over), daemon=True
    )
    disk.start()
    source = sys.stdin.fileno()
    os.write(sys.stdout.fileno(), b'{"ready": true}\n')
    while disk.is_alive():
        for _ in range(_LOOKS):
            asleep_ns = time.monotonic_ns()
            time.sleep(_SLEEP_S)
            awake_ns = time.monotonic_ns()
            late_ns = awake_ns - asleep_ns - MILLISECOND
            if late_ns > MILLISECOND:
                os.write(out, PAIR.pack(awake_ns, late_ns))
        if select.select([source], [], [], 0)[0] and not os.read(source, 4096):
            over.set()
            disk.join()  # the sync that is under way belongs to what was seen
            return
    raise SystemExit("nobody watches the disk any more")


def _appended(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _witness_disk(out: int, blocks: int, over: threading.Event) -> None:
    size = 0
    while not over.wait(_BETWEEN_SYNCS_S):
        if size >= _MOST_BYTES:
            os.ftruncate(blocks, 0)
            size = 0
        # A file that grows, as a log does: the sync then waits for the file system's journal
        # too, and there for what others have written. Overwriting would not.
        size += os.write(blocks, _BLOCK)
        began_ns = time.monotonic_ns()
        os.fdatasync(blocks)
        ended_ns = time.monotonic_ns()
        if ended_ns - began_ns > _SLOW_SYNC_NS:
            os.write(out, PAIR.pack(ended_ns, ended_ns - began_ns))


if __name__ == "__main__":
    main(*sys.argv[1:])
