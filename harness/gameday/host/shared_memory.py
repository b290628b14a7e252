"""The shared memory that a killed PostgreSQL leaves.

A server marks its data as in use by a System V segment of 56 bytes. The segment goes when the
server shuts down cleanly or starts again with the same data; after a SIGKILL, once the data are
deleted, nothing would ever remove it. Its number is in the server's lock file, so it is known as
long as the folder exists. While initdb creates the data it also has files in /dev/shm, which
cannot be turned off before version 16; only its mappings show that they are its own.
"""

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gameday.host.account import as_account, our_uids
from gameday.host.ours import is_our_file, read_ours
from gameday.host.process_files import mappings_of

__all__ = ["mapped_by", "remove_segments", "segments_in"]

_LOCK_FILE = "postmaster.pid"
_SEGMENTS = Path("/proc/sysvipc/shm")
_PID_LINE, _SEGMENT_LINE = 0, 6
_IPC_RMID = 0
_REMOVAL_LIMIT_S = 10
_MAPPED = re.compile(
    r"^\S+ \S+ \S+ (\w+):(\w+) (\d+) +(/dev/shm/PostgreSQL\.\d+)$",
    re.MULTILINE,
)
"""Of a line of /proc/PID/maps: device, inode and the whole path."""


def segments_in(folder: Path) -> tuple[int, ...]:
    """Return the segments of the servers whose data are in `folder` or in a service's folder there.

    One counts only if the system still has it from the very process that the lock file names, and
    the file and the segment are our own accounts'.
    """
    files = [*folder.glob(f"data/{_LOCK_FILE}"), *folder.glob(f"*/data/{_LOCK_FILE}")]
    told = {segment for file in files for segment in _told_by(file)}
    return tuple(sorted(number for number, _ in told & set(_existing()))) if told else ()


def remove_segments(folder: Path) -> tuple[int, ...]:
    """Remove these segments, and return those that are gone; of a living server, once it ends."""
    found = segments_in(folder)
    for number in found:
        if ctypes.CDLL(None).shmctl(number, _IPC_RMID, None):
            _remove_as_its_account(number)
    left = segments_in(folder)
    return tuple(number for number in found if number not in left)


def _remove_as_its_account(number: int) -> None:
    """Remove a segment as root may not in most containers: as the account that it belongs to."""
    for account in our_uids() - {os.geteuid()}:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                ["ipcrm", "-m", str(number)],
                capture_output=True,
                cwd="/",
                env={"PATH": os.defpath},
                timeout=_REMOVAL_LIMIT_S,
                check=False,
                **as_account(account),
            )


def mapped_by(pid: int) -> set[Path]:
    """Return the files in /dev/shm that a living process of a PostgreSQL uses, and are ours."""
    try:
        maps = mappings_of(pid)
    except OSError:
        return set()
    found = set()
    for major, minor, inode, name in _MAPPED.findall(maps):
        file, device = Path(name), os.makedev(int(major, 16), int(minor, 16))
        if is_our_file(file) and (file.lstat().st_dev, file.lstat().st_ino) == (device, int(inode)):
            found.add(file)
    return found


def _told_by(file: Path) -> Iterator[tuple[int, int]]:
    """Yield the number and the creator of a lock file's segment; it may be torn or gone by now."""
    try:
        lines = read_ours(file).decode(errors="replace").splitlines()
        # The server that makes the data, which serves nobody, has a minus before its number.
        yield int(lines[_SEGMENT_LINE].split()[1]), abs(int(lines[_PID_LINE]))
    except (OSError, ValueError, IndexError):
        return


def _existing() -> Iterator[tuple[int, int]]:
    """Yield the number and the creator of every segment of ours, where the system tells."""
    try:
        rows = [line.split() for line in _SEGMENTS.read_text(encoding="ascii").splitlines()]
    except OSError:
        return
    number, creator, user = (rows[0].index(name) for name in ("shmid", "cpid", "uid"))
    for row in rows[1:]:
        if int(row[user]) in our_uids():
            yield int(row[number]), int(row[creator])
