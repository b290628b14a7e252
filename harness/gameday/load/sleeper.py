"""The noise meter's process: `python -m gameday.load.sleeper HICCUPS SYNCS BLOCKS BEATS PROXY…`.

A sleeper of 1 ms writes every wake-up that is over 1 ms late to the file HICCUPS. Beside it, each
50 ms, a block is appended to the file BLOCKS and synced to the disk; every sync that took over
5 ms is written to the file SYNCS. Each PROXY, an address, is called each 20 ms, and every answer
that took over 5 ms is written to the file BEATS. The files are pairs of int64: when it ended, and
how long that was, in nanoseconds. A proxy that stays silent is told on the output. The process ends
with its input.
"""

import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

from gameday.load.heartbeat import PAIR, listen
from gameday.model.clock import MILLISECOND

__all__ = ["PAIR", "main"]

_SLEEP_S = 0.001
_LOOKS = 64
"""Sleeps between two looks at the input; a look at each would be most of the work."""
_BETWEEN_SYNCS_S = 0.050
_SLOW_SYNC_NS = 5 * MILLISECOND
_BLOCK = bytes(512)
_MOST_BYTES = 1 << 20


def main(hiccups: str, syncs: str, blocks: str, beats: str = "", *proxies: str) -> None:
    """Write what is seen until the input ends; raise SystemExit when the disk refuses."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = _appended(hiccups)
    over = threading.Event()
    # Threads, because neither a sync nor a poll holds Python's lock: the sleeper notices neither.
    block_file = _appended(blocks)
    # Without a name at once: however this process ends, no blocks are left.
    Path(blocks).unlink()
    disk = threading.Thread(
        target=_witness_disk, args=(_appended(syncs), block_file, over), daemon=True
    )
    others = [disk]
    if proxies:
        heart = (proxies, _appended(beats), _tell_of_silence, over)
        others.append(threading.Thread(target=listen, args=heart, daemon=True))
    for other in others:
        other.start()
    source = sys.stdin.fileno()
    os.write(sys.stdout.fileno(), b'{"ready": true}\n')
    while all(other.is_alive() for other in others):
        for _ in range(_LOOKS):
            asleep_ns = time.monotonic_ns()
            time.sleep(_SLEEP_S)
            awake_ns = time.monotonic_ns()
            late_ns = awake_ns - asleep_ns - MILLISECOND
            if late_ns > MILLISECOND:
                os.write(out, PAIR.pack(awake_ns, late_ns))
        if select.select([source], [], [], 0)[0] and not os.read(source, 4096):
            over.set()
            for other in others:
                other.join()  # the sync that is under way belongs to what was seen
            return
    raise SystemExit("nobody watches the disk or the proxies any more")


def _tell_of_silence(proxy: str) -> None:
    os.write(sys.stdout.fileno(), json.dumps({"silent": proxy}).encode() + b"\n")


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
