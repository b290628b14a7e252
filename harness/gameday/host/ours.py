"""Which files and processes are certainly ours, and not planted by another user.

Names, labels and contents can be forged; the owner of a file or a process cannot.
"""

import os
import stat
from pathlib import Path

import psutil

from gameday.host.account import our_uids

__all__ = ["is_our_file", "is_our_folder", "is_our_process", "read_ours", "whose"]

_MOST_BYTES = 1 << 16


def is_our_folder(path: Path) -> bool:
    """Tell whether it is a real folder, no link, of whoever runs gameday."""
    try:
        seen = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()


def is_our_file(path: Path) -> bool:
    """Tell whether it is a real file, no link, of one of our accounts."""
    try:
        return _is_ours(path.lstat())
    except OSError:
        return False


def read_ours(path: Path) -> bytes:
    """Return what a file of ours says; OSError if there is none, or it is somebody else's."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not _is_ours(os.fstat(opened)):
            raise PermissionError(f"{path} is not ours")
        return os.read(opened, _MOST_BYTES)
    finally:
        os.close(opened)


def is_our_process(process: psutil.Process) -> bool:
    """Tell whether every account that it has is ours: who started a setuid program is one, too."""
    try:
        return set(process.uids()) <= our_uids()
    except psutil.Error:
        return False


def whose(path: Path) -> str:
    """Return in words whose a file or a folder is."""
    return f"user {path.lstat().st_uid}"


def _is_ours(seen: os.stat_result) -> bool:
    return stat.S_ISREG(seen.st_mode) and seen.st_uid in our_uids()
