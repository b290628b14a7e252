"""Files that many scenarios use are read once, and again when they change."""

import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["Remembered"]

Made = TypeVar("Made")
_Stamp = tuple[int, int, int, int]


class Remembered(Generic[Made]):
    """What was made of each file, as long as the file is unchanged."""

    def __init__(self) -> None:
        self._made: dict[tuple[Path, Hashable], tuple[_Stamp, Made]] = {}

    def __call__(self, path: Path, read: Callable[[], Made], *, of: Hashable = None) -> Made:
        """Return what `read` makes of `path`, and of what else it depends on; errors are raised."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return read()  # which says so
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        key = (Path(os.path.abspath(path)), of)  # noqa: PTH100 - resolve() follows links
        known = self._made.get(key)
        if known is None or known[0] != stamp:
            known = self._made[key] = (stamp, read())
        return known[1]
