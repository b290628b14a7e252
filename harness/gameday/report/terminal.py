"""What a person sees while a run goes on, and the verdict at its end."""

import os
from enum import StrEnum
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from gameday.model.clock import SECOND, Clock, MonotonicClock
from gameday.model.event import (
    EffectProven,
    Event,
    FaultInjected,
    FaultUndone,
    Note,
    Phase,
    PhaseEntered,
    Progress,
    ServiceUp,
    UndoProven,
)
from gameday.model.result import Result
from gameday.model.units import format_duration
from gameday.report.failure_report import failure_text
from gameday.report.labels import details, one_line
from gameday.report.table import rich_verdict_table, verdict_table

__all__ = ["TerminalReporter", "failure_text", "rich_verdict_table", "verdict_table"]

PROGRESS_EVERY_NS = 5 * SECOND
"""How often a log that cannot be overwritten gets a line about the load."""

_REFRESH_PER_S = 4
_LOG_WIDTH = 120

_PHASES = {
    Phase.LOAD: "reading scenario and target",
    Phase.PLAN: "resolving the plan",
    Phase.START: "starting the services",
    Phase.BASELINE: "the steady state must hold before anything is broken",
    Phase.BREAK: "injecting the faults",
    Phase.RECOVER: "waiting for the steady state to hold again",
    Phase.SETTLE: "a quiet period, then the final reads",
    Phase.ANALYSE: "computing findings from the history",
    Phase.JUDGE: "comparing findings with expectations",
}


class _Tone(StrEnum):
    """The tone of a line; the values are rich's styles."""

    PLAIN = ""
    HEAD = "bold"
    GOOD = "green"
    BAD = "bold red"
    FAULT = "yellow"


class TerminalReporter:
    """Keeps `out` readable: one live line on a terminal, else one plain line per thing worth it.

    A terminal that cannot move its cursor (TERM=dumb) gets the plain lines; NO_COLOR is respected.
    Call `close` when a run ends without a result, so that the cursor comes back.
    """

    def __init__(self, out: TextIO, *, is_tty: bool, clock: Clock | None = None) -> None:
        self._clock = clock or MonotonicClock()
        self._zero_ns: int | None = None
        self._clock_ahead_ns = 0
        self._phase = Phase.LOAD
        self._progress: Progress | None = None
        self._printed_ns: int | None = None
        self._faults: dict[int, str] = {}
        live = is_tty and os.environ.get("TERM", "") not in ("dumb", "unknown")
        self._screen: _Screen = _LiveScreen(out, self._status) if live else _PlainScreen(out)

    def on_event(self, event: Event) -> None:
        if self._zero_ns is None:
            self._zero_ns = event.at_ns
            # Events may count from the start of the run; the clock counts from elsewhere.
            self._clock_ahead_ns = self._clock.now_ns() - event.at_ns
        self._phase = event.phase
        if isinstance(event, Progress):
            self._on_progress(event)
            return
        if isinstance(event, FaultInjected):
            self._faults[event.step] = one_line(f"{event.fault} {event.target}")
        elif isinstance(event, UndoProven):
            self._faults.pop(event.step, None)
        described = _describe(event)
        if described is not None:
            text, tone = described
            self._screen.line(self._prefix(event.at_ns) + one_line(text), tone)

    def on_result(self, result: Result) -> None:
        self._screen.close()
        self._screen.verdict(result)

    def close(self) -> None:
        """Give the terminal back; a second call does nothing."""
        self._screen.close()

    def _on_progress(self, event: Progress) -> None:
        self._progress = event
        if self._printed_ns is None:
            self._printed_ns = event.at_ns
        if self._screen.is_live or event.at_ns - self._printed_ns < PROGRESS_EVERY_NS:
            return
        self._printed_ns = event.at_ns
        self._screen.line(self._prefix(event.at_ns) + _load(event), _Tone.PLAIN)

    def _prefix(self, at_ns: int) -> str:
        elapsed_s = max(0, at_ns - (self._zero_ns or 0)) / SECOND
        return f"{elapsed_s:7.1f} s  {self._phase.number}/9 {self._phase.value:<8}  "

    def _status(self) -> Text:
        """Return the line that is overwritten; the screen asks for it when it draws."""
        if self._zero_ns is None:
            return Text("")
        faults = "".join(f"  [{name}]" for name in tuple(self._faults.values()))
        load = _load(self._progress) if self._progress else _PHASES[self._phase]
        text = Text(
            self._prefix(self._clock.now_ns() - self._clock_ahead_ns),
            style=_Tone.HEAD,
            no_wrap=True,
        )
        text.append(load, style="not bold").append(faults, style=_Tone.FAULT)
        text.overflow = "ellipsis"
        return text


def _load(event: Progress) -> str:
    operations = f"{event.operations:,}".replace(",", " ")
    text = (
        f"{event.per_s:.0f} op/s, {event.success * 100:.1f} % succeeded, "
        f"p99 {format_duration(event.p99_ns)}, {operations} answered"
    )
    return f"{text}, {one_line(event.text)}" if event.text else text


def _describe(event: Event) -> tuple[str, _Tone] | None:
    """Return what to say of an event, or None for what only the journal keeps."""
    match event:
        case PhaseEntered():
            return _PHASES[event.phase], _Tone.HEAD
        case ServiceUp():
            took = format_duration(event.took_ns)
            return f"{event.service} is up after {took}: {event.evidence}", _Tone.PLAIN
        case FaultInjected():
            call = format_duration(event.returned_ns - event.called_ns)
            asked = f", {details(event.asked)}" if event.asked else ""
            return f"{event.fault} {event.target}: injected in {call}{asked}", _Tone.FAULT
        case EffectProven():
            bit = "effect proven" if event.proven else "EFFECT NOT PROVEN"
            return _proof(event, bit)
        case FaultUndone():
            call = format_duration(event.returned_ns - event.called_ns)
            return f"{event.fault} {event.target}: undone in {call}", _Tone.FAULT
        case UndoProven():
            gone = "undo proven" if event.proven else "UNDO NOT PROVEN"
            return _proof(event, gone)
        case Note():
            return event.text, _Tone.PLAIN
        case _:
            return None


def _proof(event: EffectProven | UndoProven, words: str) -> tuple[str, _Tone]:
    measured = f": {details(event.measured)}" if event.measured else ""
    tone = _Tone.GOOD if event.proven else _Tone.BAD
    return f"{event.fault} {event.target}, {words}{measured}", tone


class _Screen(Protocol):
    """An output for lines."""

    is_live: bool

    def line(self, text: str, tone: _Tone) -> None: ...

    def verdict(self, result: Result) -> None: ...

    def close(self) -> None: ...


class _PlainScreen:
    """A log: lines are added and never overwritten, and hold no control codes."""

    is_live = False

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def line(self, text: str, tone: _Tone) -> None:
        # A log in an old encoding gets a question mark rather than ending the run.
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        self._out.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self._out.flush()

    def verdict(self, result: Result) -> None:
        for line in ("", *verdict_table(result, _LOG_WIDTH).splitlines()):
            self.line(line, _Tone.PLAIN)

    def close(self) -> None:
        """Leave the stream to its owner."""


class _StatusLine:
    """The status line that rich redraws."""

    def __init__(self, status: "_Status") -> None:
        self._status = status

    def __rich__(self) -> RenderableType:
        return self._status()


class _Status(Protocol):
    def __call__(self) -> Text: ...


class _LiveScreen:
    """A terminal: lines scroll above a status line that is overwritten."""

    is_live = True

    def __init__(self, out: TextIO, status: _Status) -> None:
        self._console = Console(file=out, force_terminal=True, highlight=False)
        self._live = Live(
            _StatusLine(status),
            console=self._console,
            refresh_per_second=_REFRESH_PER_S,
            transient=True,
            # pytest captures these streams itself.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._open = True

    def line(self, text: str, tone: _Tone) -> None:
        if self._open and not self._live.is_started:
            self._live.start()
        self._console.print(Text(text, style=tone.value))

    def verdict(self, result: Result) -> None:
        self._console.print(rich_verdict_table(result))

    def close(self) -> None:
        self._open = False
        self._live.stop()
