"""What has happened so far: the phase, its windows, and every listener told of each event."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from gameday.errors import EnvironmentRefused
from gameday.host.full_disk import is_full, no_room
from gameday.model.clock import Clock
from gameday.model.event import Event, Note, Phase, PhaseEntered
from gameday.model.listener import Listener
from gameday.model.result import Result, Window

__all__ = ["EventBus"]

_MOST_CHARS = 20_000


class EventBus:
    """The event stream of one run; all its times count from `start_ns`."""

    def __init__(self, listeners: Sequence[Listener], clock: Clock) -> None:
        self._listeners = listeners
        self._clock = clock
        self.start_ns = clock.now_ns()
        self.phase = Phase.LOAD
        self.phases: dict[str, Window] = {}
        self._deaf: dict[int, tuple[Listener, Exception]] = {}

    def now_ns(self) -> int:
        """Return the time since the start of the run."""
        return self._clock.now_ns() - self.start_ns

    def since_start(self, bracket: Window) -> Window:
        """Return an absolute bracket as one that counts from the start of the run."""
        return Window(
            start_ns=bracket.start_ns - self.start_ns, end_ns=bracket.end_ns - self.start_ns
        )

    def enter(self, phase: Phase) -> None:
        """Go on to `phase`; the one before ends here."""
        self.close()
        self.phase = phase
        self.phases[phase] = Window(start_ns=self.now_ns(), end_ns=self.now_ns())
        self.tell(PhaseEntered)

    def close(self) -> None:
        """End the present phase."""
        if self.phase in self.phases:
            start_ns = self.phases[self.phase].start_ns
            self.phases[self.phase] = Window(start_ns=start_ns, end_ns=self.now_ns())

    def note(self, text: str) -> None:
        """Tell anything worth a line; what is longer than a long traceback is cut off."""
        more = len(text) - _MOST_CHARS
        cut = f"{text[:_MOST_CHARS]} ... and {more} characters more"
        self.tell(Note, text=cut if more > 0 else text)

    def tell(self, kind: Callable[..., Event], **facts: object) -> None:  # type: ignore[explicit-any]
        """Tell every listener of an event of that kind, stamped with the time and the phase."""
        event = kind(at_ns=self.now_ns(), phase=self.phase, **facts)
        for listener in self._listeners:
            # A full disk or a closed terminal must not keep a fault from being undone.
            try:
                listener.on_event(event)
            except Exception as error:
                self._deaf.setdefault(id(listener), (listener, error))

    @property
    def problems(self) -> tuple[str, ...]:
        """Which listeners could not keep what they were told, and why, each once."""
        return tuple(_unheard(self._deaf.values()))

    def finish(self, result: Result) -> None:
        """Tell every listener what the run came to; EnvironmentRefused if one could not keep it."""
        unheard: list[tuple[Listener, Exception]] = []
        for listener in self._listeners:
            try:
                listener.on_result(result)
            except OSError as error:
                unheard.append((listener, error))
        if unheard:
            raise EnvironmentRefused("; ".join(_unheard(unheard)))


def _unheard(deaf: Iterable[tuple[Listener, Exception]]) -> Iterator[str]:
    """Yield a sentence for each that could not record an event, and one for a full disk."""
    full: dict[str, Exception] = {}
    for listener, error in deaf:
        name = type(listener).__name__
        if is_full(error):
            full[name] = error
        else:
            yield f"{name} could not record an event: {error}"
    for error in list(full.values())[:1]:
        yield no_room(error, full)
