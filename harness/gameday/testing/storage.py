"""A service in memory whose data folder can be filled or shut; each of its defects is a field."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gameday.api.environment import ROOT, Ran
from gameday.testing.environments import MemoryService

__all__ = ["BLOCK", "DataDirService"]

BLOCK = 4096


@dataclass(slots=True, kw_only=True)
class DataDirService(MemoryService):
    """A service with a disk of 100 blocks and three files; each of its defects is a field."""

    disk_bytes: int | None = 100 * BLOCK
    user: str = "100:100"
    used: int = 20
    filler: int | None = None
    fills: bool = True
    short_by: int = 0
    """How many blocks less than asked for a filling takes."""
    refuses_writes: bool | None = None
    """What comes of a write, whatever the disk says, when set."""
    gives_up: bool = True
    """Whether the file goes when it is removed."""
    modes: dict[str, int] = field(
        default_factory=lambda: {"/data": 0o755, "/data/sub": 0o700, "/data/sub/f": 0o640}
    )
    obeys: bool = True
    """Whether a mode is what it is changed to."""
    forgets: bool = False
    """Whether old modes are not given back."""

    @property
    def data_folder(self) -> str:
        return "/data"

    def service_user(self) -> str:
        return self.user

    def host_folder(self) -> Path | None:
        return None

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        word, *rest = command
        if word == "sh" and user == ROOT:
            if len(rest) > 4:
                self._fill(int(rest[4]))
            filler = "absent" if self.filler is None else str(self.filler * BLOCK)
            return Ran(code=0, output=f"{BLOCK} 100 {self._free}\n{filler}\n")
        if word == "sh":
            assert user == self.user
            return self._write()
        if word == "rm" and self.gives_up:
            self.filler = None
        if word == "find":
            told = "\0".join(f"{mode:o} {path}" for path, mode in self.modes.items())
            return Ran(code=0, output=told + "\0")
        if word == "chmod" and self.obeys:
            self._chmod(rest[1], rest[2:])
        return Ran(code=0, output="")

    @property
    def _free(self) -> int:
        return 100 - self.used - (self.filler or 0)

    def _fill(self, size: int) -> None:
        if self.fills:
            self.filler = min(size // BLOCK - self.short_by, 100 - self.used)

    def _write(self) -> Ran:
        refused = self.refuses_writes
        if refused is None and not self._free:
            return Ran(code=1, output="dd: writing '/data/x': No space left on device\n1+0 out\n")
        if refused is None:
            refused = not self.modes["/data"] & 0o222
        if refused:
            return Ran(code=1, output="dd: failed to open '/data/x': Permission denied\n")
        return Ran(code=0, output="1+0 records out\n")

    def _chmod(self, mode: str, paths: Sequence[str]) -> None:
        for path in paths:
            if mode == "a-w":
                self.modes[path] &= ~0o222
            elif not self.forgets:
                self.modes[path] = int(mode, 8)
