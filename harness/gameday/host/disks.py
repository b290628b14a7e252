"""Bounded disks for processes: a memory file system mounted on a service's folder.

Whatever was done to a run's folder, `release` makes it removable again, knowing only its path and
what the kernel says about it.
"""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from gameday.errors import EnvironmentRefused
from gameday.host.attributes import IMMUTABLE, flags_of, set_flags

__all__ = ["mount_disk", "mounts_in", "release"]

_MOUNT_LIMIT_S = 10
_OWNER_ALL = 0o700


def mount_disk(folder: Path, size_bytes: int) -> None:
    """Let the folder be a disk of that size, in memory; does nothing if it is one already."""
    if folder.is_mount():
        return
    _run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", folder.parent.name, folder])


def mounts_in(folder: Path) -> list[Path]:
    """Return what is mounted on the folder or inside of it, the innermost first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if place.is_relative_to(folder):
            found.append(place)
    return sorted(found, key=lambda place: len(place.parts), reverse=True)


def release(folder: Path) -> tuple[str, ...]:
    """Unmount all disks in a folder, and take off what keeps its files from being removed."""
    gone = []
    for place in mounts_in(folder):
        with suppress(EnvironmentRefused):
            # Lazily: what still has a file open there must not keep it.
            _run(["umount", "-l", place])
            gone.append(f"disk {place}")
    for inside, _, names in os.walk(folder):
        for path in (Path(inside), *(Path(inside) / name for name in names)):
            _loosen(path)
    return tuple(gone)


def _loosen(path: Path) -> None:
    with suppress(OSError):
        flags = flags_of(path)
        if flags & IMMUTABLE:
            set_flags(path, flags & ~IMMUTABLE)
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            mode = path.stat().st_mode & 0o7777
            if mode & _OWNER_ALL != _OWNER_ALL:
                path.chmod(mode | _OWNER_ALL)


def _run(command: list[str | Path]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_MOUNT_LIMIT_S, check=True)
    except subprocess.CalledProcessError as error:
        raise EnvironmentRefused(str(error.stderr).strip()) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentRefused(str(error)) from error
