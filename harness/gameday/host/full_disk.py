"""A full disk: recognised, reported in one line, and checked for before a run begins."""

import errno
import shutil
from collections.abc import Iterable
from pathlib import Path

__all__ = ["is_full", "lacks_room", "no_room"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BESIDE_THE_HISTORY = 8_000_000
"""What the journal, the pictures and usual logs of a run take at most."""


def is_full(error: BaseException) -> bool:
    """Tell whether an error says that a disk, a quota or the largest size of a file is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def no_room(error: BaseException, keepers: Iterable[str] = ()) -> str:
    """Say that what was to be kept is not whole; `keepers` are those that could not keep it."""
    assert isinstance(error, OSError)
    who = ", ".join(keepers)
    lost = f"{who} could not keep everything" if who else "not everything could be kept"
    where = f" for {error.filename}" if error.filename else ""
    return (
        f"the disk of the reports is full ({error.strerror}{where}): {lost}; make room, or choose "
        "another folder by --gameday-reports"
    )


def lacks_room(folder: Path, history_bytes: int) -> str | None:
    """Return that a folder has no room for a run with such a history; None: it has."""
    wanted = history_bytes + _BESIDE_THE_HISTORY
    free = shutil.disk_usage(folder).free
    if free >= wanted:
        return None
    free_mb, wanted_mb, history_mb = free / 1e6, wanted / 1e6, history_bytes / 1e6
    return (
        f"reports folder {folder.parent}: its disk is full: {free_mb:.3g} MB are free, and this "
        f"run may take {wanted_mb:.3g} MB, {history_mb:.3g} MB of them for its history; "
        "make room, or choose another folder by --gameday-reports"
    )
