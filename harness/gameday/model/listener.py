"""What the conductor reports during a run, and once at its end."""

from typing import Protocol

from gameday.model.event import Event
from gameday.model.result import Result

__all__ = ["Listener"]


class Listener(Protocol):
    """Receives the events of a run and its result, in the thread that conducts it."""

    def on_event(self, event: Event) -> None:
        """Take note of `event`, as it happens."""
        ...

    def on_result(self, result: Result) -> None:
        """Take note of what the run came to; nothing follows."""
        ...
