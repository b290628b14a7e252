"""A service in memory with a wall clock of its own; each of that clock's defects is a field."""

from dataclasses import dataclass

from gameday.api.clocks import Reading
from gameday.api.environment import NotReadyError
from gameday.model.clock import MILLISECOND
from gameday.model.result import Window
from gameday.testing.environments import MemoryService

__all__ = ["ClockedService"]


@dataclass(slots=True, kw_only=True)
class ClockedService(MemoryService):
    """A service that goes by a clock which can be set."""

    own_clock: bool = True
    astray_ns: int = 0
    """How far it is off before anybody sets it."""
    obeys: float = 1.0
    """How much of what it is set to it does."""
    resets: bool = True
    asking_ns: int = MILLISECOND
    mute: bool = False
    _set_ns: int = 0
    _offset_ns: int = 0
    _rate: float = 1.0

    def set_clock(self, offset_ns: int, rate: float) -> Window:
        now_ns = self.clock.now_ns()
        if (offset_ns, rate) != (0, 1) or self.resets:
            self._set_ns = now_ns
            self._offset_ns = round(offset_ns * self.obeys)
            self._rate = 1 + (rate - 1) * self.obeys
        return Window(start_ns=now_ns, end_ns=now_ns)

    def clock_setting(self) -> str:
        return f"{self._offset_ns} {self._rate}"

    def read_clock(self) -> Reading:
        if self.mute:
            raise NotReadyError("db does not answer")
        before_ns = self.clock.now_ns()
        self.clock.sleep_ns(self.asking_ns)
        since_ns = before_ns + self.asking_ns // 2 - self._set_ns
        told_ns = self._set_ns + round(since_ns * self._rate) + self._offset_ns + self.astray_ns
        return Reading(
            told_ns=told_ns, before_ns=before_ns, after_ns=self.clock.now_ns(), wall_ns=0
        )
