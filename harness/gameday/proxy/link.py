"""One direction of a connection, and the toxics it passes."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from gameday.proxy.timer import WakeTimer
from gameday.proxy.toxic_chain import Draws, NamedToxic
from gameday.proxy.toxics import End, Outlet, Place, Stage

__all__ = ["Ends", "Link", "Meter"]


class Meter:
    """Counts the bytes of one direction of a connection, or the sum of several, as they pass."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0

    def add(self, other: "Meter") -> None:
        """Count what `other` has counted, too."""
        self.received += other.received
        self.sent += other.sent


class Ends(Protocol):
    """The connection that a link is one direction of."""

    def link_ended(self) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None: ...


class Link:
    """Bytes from the source pass the toxics in their order and arrive at the sink in theirs.

    Without a toxic, `feed` is the sink's own write. The source is paused while the sink or a toxic
    holds more than it should.
    """

    def __init__(
        self,
        source: asyncio.Transport,
        sink: asyncio.Transport,
        ends: Ends,
        timer: WakeTimer,
        draws: Callable[[NamedToxic], Draws],
        meter: Meter,
    ) -> None:
        self.ended = False
        self._source = source
        self._ends = ends
        self._timer = timer
        self._new_draws = draws
        self._draws: dict[NamedToxic, Draws] = {}
        self._met: set[NamedToxic] = set()
        self._stages: dict[NamedToxic, Stage] = {}
        self._drain = _Drain(sink, ends, meter)
        self.feed: Callable[[bytes], None] = self._drain.data
        self._lead: Stage | None = None
        self._head: Outlet = self._drain
        self._sink_is_full = False
        self._dropped = False
        self._paused = False

    @property
    def timer(self) -> WakeTimer:
        """The timer that the stages share."""
        return self._timer

    def lead(self, make: Callable[[Place, Outlet], Stage]) -> None:
        """Let all bytes pass the stage of `make` first, before any toxic."""
        self._lead = make(self, self._drain)
        self._wire(())

    def end(self, how: End) -> None:
        """Take it that the source sends no more, and pass that on in its turn."""
        if how is End.EOF and self.ended:
            return
        # A source that came to its end must not be resumed: it would come to it again.
        self.ended = True
        self._head.end(how)

    def sink_full(self, full: bool) -> None:
        self._sink_is_full = full
        self.balance()

    def balance(self) -> None:
        """Pause the source while the sink or a stage holds too much, and resume it after that."""
        held = any(stage.held_bytes > stage.HOLD_BYTES for stage in self._all_stages())
        pause = self._sink_is_full or held
        if pause == self._paused:
            return
        self._paused = pause
        if not self.ended:
            if pause:
                self._source.pause_reading()
            else:
                self._source.resume_reading()
        if self._lead is not None:
            self._lead.crowded(pause)

    def reset(self) -> None:
        self._ends.reset()

    def drop(self) -> None:
        """Forget all that is held; the connection is over."""
        self.ended = self._dropped = True
        self.feed = _swallow
        for stage in self._all_stages():
            stage.drop()
        self._stages.clear()
        self._lead = None

    def add(self, toxic: NamedToxic, chain: Iterable[NamedToxic]) -> None:
        """Draw whether `toxic` meets this link, and if so put it in."""
        if self._dropped:
            return
        draws = self._draws.get(toxic)
        if draws is None:
            draws = self._draws[toxic] = self._new_draws(toxic)
        if not toxic.meets(draws.meets):
            return
        stage = toxic.attributes.stage(self, self._drain, draws.within)
        stage.tally = toxic.tally
        if toxic not in self._met:
            self._met.add(toxic)
            toxic.tally.connections += 1
        self._stages[toxic] = stage
        self._wire(chain)
        stage.begin()

    def change(self, toxic: NamedToxic, chain: Iterable[NamedToxic]) -> None:
        """Draw anew whether `toxic` meets this link, and let its stage follow the attributes."""
        stage = self._stages.get(toxic)
        if stage is None:
            self.add(toxic, chain)
        elif toxic.meets(self._draws[toxic].meets):
            stage.changed()
            self.balance()
        else:
            self.remove(toxic, chain)

    def remove(self, toxic: NamedToxic, chain: Iterable[NamedToxic]) -> None:
        """Take `toxic` out; what it held goes on at once."""
        stage = self._stages.pop(toxic, None)
        if stage is None:
            return
        stage.release()
        if not self._dropped:
            self._wire(chain)
            self.balance()

    def forget(self, toxic: NamedToxic) -> None:
        """Take it that `toxic` never comes back."""
        self._draws.pop(toxic, None)
        self._met.discard(toxic)

    def _wire(self, chain: Iterable[NamedToxic]) -> None:
        outlet: Outlet = self._drain
        for stage in reversed([self._stages[toxic] for toxic in chain if toxic in self._stages]):
            stage.outlet = outlet
            outlet = stage
        if self._lead is not None:
            self._lead.outlet = outlet
            outlet = self._lead
        self._head = outlet
        self.feed = self._drain.data if outlet is self._drain else self._through

    def _all_stages(self) -> list[Stage]:
        stages = list(self._stages.values())
        return stages if self._lead is None else [self._lead, *stages]

    def _through(self, chunk: bytes) -> None:
        self._head.data(chunk)
        self.balance()


class _Drain:
    """The end of the chain: the sink's socket."""

    __slots__ = ("_ends", "_meter", "_over", "_sink", "_write")

    def __init__(self, sink: asyncio.Transport, ends: Ends, meter: Meter) -> None:
        self._write: Callable[[bytes], None] = sink.write
        self._sink = sink
        self._ends = ends
        self._meter = meter
        self._over = False

    def data(self, chunk: bytes) -> None:
        self._meter.sent += len(chunk)
        self._write(chunk)

    def end(self, how: End) -> None:
        if how is End.RESET:
            self._ends.reset()
        elif how is End.CLOSE:
            self._ends.close()
        elif not self._over:
            self._over = True
            try:
                self._sink.write_eof()
            except OSError:
                # The sink was reset before we heard of it.
                self._ends.reset()
            else:
                self._ends.link_ended()


def _swallow(chunk: bytes) -> None:
    """Lose what arrives after the end."""
