"""Disk fill: the disk of a service has no room, or as little as asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Conflicts, Injection, Proof, Requirements
from gameday.errors import EnvironmentRefused
from gameday.faults.storage.folder import Folder
from gameday.faults.timing import timed
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.model.units import RatioField, SizeBytes

__all__ = ["DiskFill"]

_TRIES = 5
_GROWTH = 4
"""What a service may have written meanwhile: one part in so many of its disk."""
_LOOK = """
stat -f -c '%S %b %a' "$1" && { stat -c %s "$0" 2>/dev/null || echo absent; }
"""
_FILL = (
    """
fallocate -l "$2" "$0" 2>/dev/null || :
if [ "$3" = 0 ]; then
  dd if=/dev/zero of="$0" bs=4096 oflag=append conv=notrunc 2>/dev/null
elif [ "$(stat -c %s "$0")" -gt "$2" ]; then
  truncate -s "$2" "$0"
fi
"""
    + _LOOK
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFill:
    """A service's disk is filled by a file that is not the service's own.

    Only a disk that the target bounds by `disk:` can be filled, never the host's: where the data
    are on one of another size, the fault is refused. Mechanism, both environments: a file in the
    data folder. Proven when the free space is the one asked for, to a block, and, if it is none,
    a write as the service's user fails for want of space. What the service says to a write is
    recorded. Undone when the file is gone, the space is free again and the service, started
    again if it died of it, answers a write.
    """

    verb: ClassVar[str] = "disk-fill"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its disk", outlives_process=True)
    target: str
    """The service whose disk is filled."""
    free_bytes: SizeBytes = 0
    """How much stays free."""
    fill: RatioField | None = None
    """The share of the disk that is used, instead of `free`."""

    def __post_init__(self) -> None:
        if self.fill is not None and self.free_bytes:
            raise ValueError(
                "a disk is filled to a share of it (fill) or until so much is free (free); "
                "both are given"
            )
        require(("fill", self.fill is None or self.fill > 0, "more than 0%"))

    def requirements(self, runtime: str) -> Requirements:
        return Requirements(bounded_disk=True)

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        size_bytes = service.disk_bytes
        if size_bytes is None:
            raise EnvironmentRefused(
                f"disk-fill: {self.target} is on the host's disk; add `disk: 64MB`"
            )
        free_bytes = self.free_bytes
        if self.fill is not None:
            free_bytes = round(size_bytes * (1 - self.fill))
        folder = Folder(service)
        return _Filling(environment.clock, folder, size_bytes, free_bytes)


@dataclass(frozen=True, slots=True)
class _Disk:
    """What the file system says of itself, and how long the fault's file is."""

    block_bytes: int
    size_bytes: int
    free_bytes: int
    filler_bytes: int | None


class _Filling:
    """One fill, by one file."""

    def __init__(self, clock: Clock, folder: Folder, size_bytes: int, free_bytes: int) -> None:
        self._clock = clock
        self._folder = folder
        self._size_bytes = size_bytes
        self._free_bytes = free_bytes
        self._file = folder.own("fill")
        self._before: _Disk | None = None
        self._filler_bytes: int | None = None
        """How long the file was when it was proven to be as asked."""
        self.undo_text = f"remove {self._file} of {self._folder.name}"
        self.asked: Mapping[str, Scalar] = {
            "free_bytes": self._free_bytes,
            "disk_bytes": self._size_bytes,
        }

    def inject(self) -> Window:
        return timed(self._clock, self._fill_up)

    def _fill_up(self) -> None:
        self._before = before = self._look()
        if abs(before.size_bytes - self._size_bytes) > before.block_bytes:
            raise EnvironmentRefused(
                f"disk-fill: the data of {self._folder.name} are on a disk of "
                f"{before.size_bytes} bytes, not on that of {self._size_bytes} bytes which the "
                "target gives it; nothing was filled"
            )
        if before.free_bytes <= self._free_bytes + before.block_bytes:
            raise EnvironmentRefused(
                f"disk-fill: {self._folder.name} has {before.free_bytes} bytes free already; "
                f"{self._free_bytes} were asked for"
            )
        self._fill(before)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Read how much is free, and write. What the service took or gave is made up for."""
        now = self._look()
        for _ in range(_TRIES):
            if now.filler_bytes is None or self._is_as_asked(now):
                break
            checkpoint()
            now = self._fill(now)
        measured: dict[str, Scalar] = {
            "free_bytes": now.free_bytes,
            "disk_bytes": now.size_bytes,
            "filler_bytes": now.filler_bytes,
        }
        proven = now.filler_bytes is not None and self._is_as_asked(now)
        if proven and self._free_bytes == 0:
            _, came = self._folder.try_to_write()
            measured["write"] = came
            proven = "No space left" in came
        measured["service_says"] = self._folder.says()
        self._filler_bytes = now.filler_bytes
        return Proof(proven=proven, measured=measured)

    def is_active(self) -> Proof:
        """The file is as long as it was; what the service takes or gives beside it is its own."""
        now = self._look()
        return Proof(
            proven=now.filler_bytes is not None and now.filler_bytes == self._filler_bytes,
            measured={"filler_bytes": now.filler_bytes, "free_bytes": now.free_bytes},
        )

    def undo(self) -> Window:
        files = (self._file, self._folder.own("try"))
        remove = partial(self._folder.as_root, "rm", "-f", *files)
        return timed(self._clock, remove, self._folder.revive)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """No file, as much space as before but for what the service itself took, and an answer."""
        answer = self._folder.answers(checkpoint)
        now = self._look()
        wanted = 1 if self._before is None else self._before.free_bytes - now.size_bytes // _GROWTH
        written, came = self._folder.try_to_write()
        return Proof(
            proven=answer.proven
            and written
            and now.filler_bytes is None
            and now.free_bytes >= wanted,
            measured={
                **answer.measured,
                "free_after_bytes": now.free_bytes,
                "filler_after_bytes": now.filler_bytes,
                "write_after": came,
            },
        )

    def _is_as_asked(self, now: _Disk) -> bool:
        return abs(now.free_bytes - self._free_bytes) <= (
            now.block_bytes if self._free_bytes else 0
        )

    def _fill(self, now: _Disk) -> _Disk:
        want = (now.filler_bytes or 0) + now.free_bytes - self._free_bytes
        want = max(want // now.block_bytes, 1) * now.block_bytes
        return self._disk(_FILL, str(want), str(self._free_bytes))

    def _look(self) -> _Disk:
        return self._disk(_LOOK)

    def _disk(self, script: str, *arguments: str) -> _Disk:
        ran = self._folder.as_root("sh", "-c", script, self._file, self._folder.path, *arguments)
        words = ran.output.split()[-4:]
        if ran.code != 0 or len(words) != 4:
            raise EnvironmentRefused(f"looking at the disk of {self._folder.name}: {ran.output}")
        block, blocks, free = (int(word) for word in words[:3])
        filler = None if words[3] == "absent" else int(words[3])
        return _Disk(block, block * blocks, block * free, filler)
