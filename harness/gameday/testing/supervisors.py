"""A supervisor in memory: what it was told, and whether it is there."""

from dataclasses import dataclass, field
from pathlib import Path

from gameday.errors import InternalError

__all__ = ["MemorySupervisor"]


@dataclass(slots=True, kw_only=True)
class MemorySupervisor:
    """Heals nothing, and keeps what a run tells it."""

    gone: bool = False
    """Whether it has died; nothing may be broken without it."""
    ended: str = ""
    """How it was sent away: "dismissed" by a run that left nothing, else "abandoned"."""
    phases: list[str] = field(default_factory=list)
    until_ns: dict[int, int] = field(default_factory=dict)
    """Until when each fault that is in may be, by its step."""
    draft: str = ""
    """The result that it would leave if the harness died."""

    def start(self) -> None:
        self.check()

    def check(self) -> None:
        if self.gone:
            raise InternalError("the janitor is gone")

    def fault_until(self, step: int, until_ns: int) -> None:
        self.check()
        self.until_ns[step] = until_ns

    def healed(self, step: int) -> None:
        del self.until_ns[step]

    def leave_result(self, path: Path, draft: str) -> None:
        self.draft = draft

    def enter(self, phase: str) -> None:
        self.phases.append(phase)

    def dismiss(self) -> None:
        self.ended = "dismissed"

    def abandon(self) -> None:
        self.ended = "abandoned"
