"""Two ways to keep a user from writing to files: their modes, and their immutable attribute."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from gameday.errors import EnvironmentRefused
from gameday.faults.storage.folder import Folder
from gameday.host.attributes import IMMUTABLE, flags_of, set_flags

__all__ = ["Attributes", "Lock", "Modes"]

_WRITE = 0o222
_ROUNDS = 10
_BATCH = 500
"""How many files a command names; Linux takes 128 KiB."""


class Lock(Protocol):
    """What shuts a folder with all that is in it, and opens it as it was."""

    def shut(self) -> None:
        """Shut everything; EnvironmentRefused if something stays open."""
        ...

    def count(self) -> tuple[int, int]:
        """Return how many files and folders are shut, and how many are not."""
        ...

    def open(self) -> None:
        """Give everything that was shut what it had before."""
        ...

    def unlike_before(self) -> int:
        """Return how many have something else than before; what is gone or new has its own."""
        ...


class Modes:
    """By their modes, which hold back everybody but root."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._before: dict[str, int] = {}

    def __str__(self) -> str:
        return "mode"

    def shut(self) -> None:
        for _ in range(_ROUNDS):
            # Until nothing is left: the service goes on creating while it is being shut out.
            left = {path: mode for path, mode in self._modes().items() if mode & _WRITE}
            if not left:
                return
            self._before = {**left, **self._before}
            self._chmod("a-w", list(left))
        raise EnvironmentRefused(
            f"read-only-data: {self._folder.name} creates files faster than they can be locked"
        )

    def count(self) -> tuple[int, int]:
        modes = self._modes().values()
        writable = sum(1 for mode in modes if mode & _WRITE)
        return len(modes) - writable, writable

    def open(self) -> None:
        for mode in set(self._before.values()):
            self._chmod(f"{mode:o}", [path for path, old in self._before.items() if old == mode])

    def unlike_before(self) -> int:
        now = self._modes()
        return sum(1 for path, old in self._before.items() if now.get(path, old) != old)

    def _modes(self) -> dict[str, int]:
        """Return the modes of all files and folders; EnvironmentRefused if they cannot be read."""
        kinds = ["(", "-type", "d", "-o", "-type", "f", ")"]
        ran = self._folder.as_root("find", self._folder.path, *kinds, "-printf", r"%m %p\0")
        # What was removed meanwhile is complained about, between the others.
        found = [entry for entry in ran.output.split("\0") if self._folder.path in entry]
        modes = {}
        for entry in found:
            mode, _, path = entry.rpartition("\n")[2].partition(" ")
            if mode.isdigit():
                modes[path] = int(mode, 8)
        if self._folder.path not in modes:
            raise EnvironmentRefused(
                f"reading the modes of {self._folder.path}: {ran.output[:200]}"
            )
        return modes

    def _chmod(self, mode: str, paths: list[str]) -> None:
        """Change what is still there; what came of it is read afterwards."""
        for start in range(0, len(paths), _BATCH):
            self._folder.as_root("chmod", "-f", mode, *paths[start : start + _BATCH])


class Attributes:
    """By the attribute that holds back even root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[Path, int] = {}

    def __str__(self) -> str:
        return "attribute"

    def shut(self) -> None:
        for _ in range(_ROUNDS):
            left = {path: flags for path, flags in self._flags() if not flags & IMMUTABLE}
            if not left:
                return
            for path, flags in left.items():
                self._before.setdefault(path, flags)
                self._set(path, flags | IMMUTABLE)
        raise EnvironmentRefused(f"read-only-data: not all of {self._folder} can be made immutable")

    def count(self) -> tuple[int, int]:
        flags = [flags for _, flags in self._flags()]
        shut = sum(1 for each in flags if each & IMMUTABLE)
        return shut, len(flags) - shut

    def open(self) -> None:
        for path, flags in self._before.items():
            self._set(path, flags)

    def unlike_before(self) -> int:
        now = dict(self._flags())
        # File systems add flags of their own to what they are asked for.
        return sum(1 for p, old in self._before.items() if (now.get(p, old) ^ old) & IMMUTABLE)

    def _flags(self) -> Iterator[tuple[Path, int]]:
        for place, _, names in os.walk(self._folder):
            for path in (Path(place), *(Path(place) / name for name in names)):
                if path.is_symlink() or not (path.is_dir() or path.is_file()):
                    continue
                try:
                    yield path, flags_of(path)
                except FileNotFoundError:
                    continue  # removed meanwhile
                except OSError as error:
                    raise EnvironmentRefused(
                        f"reading the attributes of {path}: {error}"
                    ) from error

    @staticmethod
    def _set(path: Path, flags: int) -> None:
        try:
            set_flags(path, flags)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentRefused(f"setting the attributes of {path}: {error}") from error
