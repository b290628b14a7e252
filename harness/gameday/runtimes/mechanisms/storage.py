"""What a host has to allow so that a process's disk can be bounded, or shut for root."""

import os
import tempfile
from pathlib import Path

from gameday.api.mechanism import Mechanism
from gameday.errors import EnvironmentRefused
from gameday.host.attributes import IMMUTABLE, flags_of, set_flags
from gameday.host.disks import mount_disk, release

__all__ = ["BOUNDED_DISK", "IMMUTABLE_ATTRIBUTE"]

_SIZE_BYTES = 1 << 20


def _bounded() -> str:
    """Mount a disk of 1 MiB, and fill it."""
    with tempfile.TemporaryDirectory(prefix="trial-of-a-disk-") as made:
        folder = Path(made) / "disk"
        folder.mkdir()
        try:
            mount_disk(folder, _SIZE_BYTES)
            told = os.statvfs(folder)
            size_bytes = told.f_blocks * told.f_frsize
        finally:
            release(Path(made))
    if size_bytes != _SIZE_BYTES:
        raise EnvironmentRefused(f"a disk of {_SIZE_BYTES} bytes has {size_bytes}")
    return f"a disk of {size_bytes} bytes was mounted"


def _immutable() -> str:
    """Set the attribute on a folder, and see that nothing can be created in it."""
    with tempfile.TemporaryDirectory(prefix="trial-of-an-attribute-") as made:
        folder = Path(made) / "shut"
        folder.mkdir()
        try:
            set_flags(folder, flags_of(folder) | IMMUTABLE)
            try:
                (folder / "file").touch()
            except PermissionError as error:
                return f"root cannot create a file: {error.strerror}"
        finally:
            release(Path(made))
    raise EnvironmentRefused("a file was created in spite of it")


BOUNDED_DISK = Mechanism(
    name="bounded disk in process",
    used_for="a service's `disk:`, and disk-fill",
    cure="run as root with the right to mount, or start a Docker engine",
    check=_bounded,
)
IMMUTABLE_ATTRIBUTE = Mechanism(
    name="immutable attribute",
    used_for="read-only-data of a service that runs as root",
    cure="use a temporary folder on ext4, or start a Docker engine",
    check=_immutable,
)
