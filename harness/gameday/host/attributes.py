"""The attributes that some file systems keep for a file, beside its mode."""

import fcntl
import os
import struct
from pathlib import Path

__all__ = ["IMMUTABLE", "flags_of", "set_flags"]

IMMUTABLE = 0x10
"""What the attribute is called that lets nobody write, FS_IMMUTABLE_FL."""

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602


def flags_of(path: Path) -> int:
    """Return a file's attributes; OSError where its file system has none."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        told = fcntl.ioctl(opened, _GET_FLAGS, struct.pack("l", 0))
        return int(struct.unpack("l", told)[0])
    finally:
        os.close(opened)


def set_flags(path: Path, flags: int) -> None:
    """Set a file's attributes; OSError where that is not allowed."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.ioctl(opened, _SET_FLAGS, struct.pack("l", flags))
    finally:
        os.close(opened)
