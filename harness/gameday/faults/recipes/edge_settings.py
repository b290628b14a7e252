"""What is set on the proxy of an edge, and taken off again whatever state it is in."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from gameday.api.edge import EdgeProxy, EdgeState, Stream
from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MINUTE, SECOND, BackgroundTask, Clock

__all__ = ["Closed", "EdgeSetting", "Flapping", "Toxics", "streams_of"]

_FLAPPING_LIMIT_NS = 10 * MINUTE
_JOIN_LIMIT_NS = 15 * SECOND

_numbers = itertools.count(1)


def streams_of(words: str) -> tuple[Stream, ...]:
    """Return the directions that "both", "upstream" or "downstream" stands for."""
    match words:
        case "upstream":
            return ("upstream",)
        case "downstream":
            return ("downstream",)
        case _:
            return ("upstream", "downstream")


class EdgeSetting(Protocol):
    """Something that is put on an edge and lifted again."""

    @property
    def undo_text(self) -> str: ...

    @property
    def what(self) -> str:
        """What it consists of, in the plural."""
        ...

    def put(self) -> None: ...

    def lift(self) -> None:
        """Take it off, however much of it is on; twice is harmless."""
        ...

    def left(self, state: EdgeState) -> tuple[str, ...]:
        """Return what of it is still on, by what the server reports."""
        ...

    def is_active(self, state: EdgeState) -> Proof:
        """Tell whether all of it is still on."""
        ...


class Toxics:
    """Toxics of one kind, in one or both directions, under names of their own."""

    what = "toxics"

    def __init__(
        self,
        edge: EdgeProxy,
        kind: str,
        streams: Sequence[Stream],
        attributes: Mapping[str, int | str],
    ) -> None:
        self._edge = edge
        self._kind = kind
        self._attributes = attributes
        # Chosen before the first call: one that was never answered may have added its toxic.
        number = next(_numbers)
        self.names: Mapping[Stream, str] = {s: f"{kind}_{s}_{number}" for s in streams}
        """What the toxic of each direction is called."""
        self.undo_text = f"remove the toxics {', '.join(self.names.values())}"

    def put(self) -> None:
        for stream, name in self.names.items():
            self._edge.add(name, self._kind, stream, self._attributes)

    def lift(self) -> None:
        for name in self.names.values():
            try:
                self._edge.remove(name)
            except EnvironmentRefused:
                # A toxic that waits for its reader blocks its own removal; without connections
                # there is no reader to wait for.
                with suppress(EnvironmentRefused):
                    self._edge.disable()
                try:
                    self._edge.remove(name)
                finally:
                    self._edge.enable()

    def left(self, state: EdgeState) -> tuple[str, ...]:
        return tuple(name for name in self.names.values() if name in state.toxics)

    def is_active(self, state: EdgeState) -> Proof:
        left = self.left(state)
        return Proof(
            proven=len(left) == len(self.names), measured={"toxics": ", ".join(left) or "none"}
        )


class Closed:
    """The proxy is disabled: it refuses, and open connections end."""

    undo_text = "enable the proxy"
    what = "toxics"

    def __init__(self, edge: EdgeProxy) -> None:
        self._edge = edge

    def put(self) -> None:
        self._edge.disable()

    def lift(self) -> None:
        self._edge.enable()

    def left(self, state: EdgeState) -> tuple[str, ...]:
        return () if state.enabled else ("the proxy is disabled",)

    def is_active(self, state: EdgeState) -> Proof:
        return Proof(proven=not state.enabled, measured={"proxy_enabled": state.enabled})


class Flapping:
    """Something is down and up in turns, beginning with down, by a thread and within a limit."""

    what = "toxics"

    def __init__(
        self,
        clock: Clock,
        down: Callable[[], None],
        up: Callable[[], None],
        *,
        undo_text: str,
        down_ns: int,
        up_ns: int,
    ) -> None:
        self._clock = clock
        self._down = down
        self._up = up
        self._down_ns = down_ns
        self._up_ns = up_ns
        self._task: BackgroundTask | None = None
        self.undo_text = f"stop the flapping and {undo_text}"
        self.trouble: EnvironmentRefused | None = None

    @property
    def goes_on(self) -> bool:
        """Whether the thread lives."""
        return self._task is not None and self._task.alive()

    def put(self) -> None:
        self._down()
        self._task = self._clock.in_background(self._flap(), "flap")

    def lift(self) -> None:
        if self._task is not None:
            self._task.end(_JOIN_LIMIT_NS)
        self._up()

    def left(self, state: EdgeState) -> tuple[str, ...]:
        return ("the thread that flaps does not end",) if self.goes_on else ()

    def is_active(self, state: EdgeState) -> Proof:
        return self.goes_on_still()

    def goes_on_still(self) -> Proof:
        """Tell whether it goes up and down yet, and if not, why."""
        why = {} if self.trouble is None else {"error": str(self.trouble)}
        return Proof(proven=self.goes_on, measured={"flapping": self.goes_on, **why})

    def _flap(self) -> Iterator[int]:
        """Keep to a schedule, so that what the calls take does not add up."""
        next_ns = self._clock.now_ns()
        give_up_ns = next_ns + _FLAPPING_LIMIT_NS
        try:
            while next_ns < give_up_ns:
                next_ns += self._down_ns
                yield next_ns
                self._up()
                next_ns += self._up_ns
                yield next_ns
                self._down()
            self._up()
        except EnvironmentRefused as error:
            self.trouble = error
