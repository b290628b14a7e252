import io
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from gameday.model.event import EffectProven, Event, Note, Phase, PhaseEntered, Progress
from gameday.model.result import Result
from gameday.report.terminal import TerminalReporter
from gameday.testing.clocks import ManualClock

SECOND = 1_000_000_000


def _told(events: list[Event], result: Result | None = None, *, is_tty: bool = False) -> str:
    out = io.StringIO()
    reporter = TerminalReporter(out, is_tty=is_tty, clock=ManualClock(events[-1].at_ns))
    try:
        for event in events:
            reporter.on_event(event)
        if result is not None:
            reporter.on_result(result)
    finally:
        reporter.close()
    return out.getvalue()


def test_a_log_has_a_line_for_each_phase_with_its_number_and_time(events: list[Event]) -> None:
    lines = _told(events).splitlines()
    entered = [event for event in events if isinstance(event, PhaseEntered)]
    assert len(entered) == 9
    for event in entered:
        elapsed = f"{(event.at_ns - events[0].at_ns) / SECOND:.1f} s"
        start = rf"\s*{re.escape(elapsed)}  {event.phase.number}/9 {event.phase.value} "
        assert any(re.match(start, line) for line in lines), start


def test_a_log_tells_every_step_of_a_fault(events: list[Event]) -> None:
    text = _told(events)
    assert "kill redis: injected in 1 ms, for 2s, signal SIGKILL" in text
    assert "kill redis, effect proven: exit signal 9, gone after 2 ms" in text
    assert "kill redis: undone in 18 ms" in text
    assert "kill redis, undo proven: write confirmed yes" in text


def test_a_fault_that_did_not_bite_stands_out(events: list[Event]) -> None:
    noops = [replace(e, proven=False) if isinstance(e, EffectProven) else e for e in events]
    assert "kill redis, EFFECT NOT PROVEN" in _told(noops)


def test_a_log_gets_the_load_at_most_every_five_seconds(events: list[Event]) -> None:
    lines = [line for line in _told(events).splitlines() if "op/s" in line]
    times = [float(line.split()[0]) for line in lines]
    assert 2 <= len(times) <= 3
    assert all(later - earlier > 4.99 for earlier, later in pairwise(times))
    assert "200 op/s, 0.0 % succeeded, p99 4 ms" in lines[0]


def test_a_log_has_no_control_codes_and_one_line_an_event(events: list[Event]) -> None:
    wild = Note(at_ns=events[-1].at_ns, phase=Phase.JUDGE, text="a\nb\x1b[31mc\rd\te")
    text = _told([*events, wild])
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.splitlines()[-1].endswith("a b [31mc d e")


def test_a_log_ends_with_the_table_of_the_verdict(events: list[Event], result: Result) -> None:
    lines = _told(events, result).splitlines()
    assert lines[-1].startswith("FAIL  arbees/no-message-loss")
    assert any("arbees/mttr" in line and line.endswith("PASS") for line in lines)


def test_a_log_in_ascii_does_not_end_the_run(events: list[Event]) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    reporter = TerminalReporter(out, is_tty=False)
    reporter.on_event(Note(at_ns=0, phase=Phase.LOAD, text="größer → kleiner"))
    assert b"gr??er ? kleiner\n" in raw.getvalue()


def test_a_terminal_shows_load_and_running_fault_on_one_live_line(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    out = io.StringIO()
    clock = ManualClock(0)
    reporter = TerminalReporter(out, is_tty=True, clock=clock)
    try:
        reporter.on_event(events[0])
        clock.sleep_ns(7 * SECOND)
        last = max(i for i, e in enumerate(events) if isinstance(e, Progress) and e.success == 0)
        for event in events[: last + 1]:
            reporter.on_event(event)
        reporter.on_event(Note(at_ns=events[last].at_ns, phase=Phase.BREAK, text="drawn"))
    finally:
        reporter.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "7.0 s  5/9 break     200 op/s, 0.0 % succeeded, p99 4 ms" in shown
    assert "[kill redis]" in shown


def test_a_terminal_gets_its_cursor_back_on_every_way_out(
    events: list[Event], result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for end in (None, result):
        text = _told(events, end, is_tty=True)
        assert "\x1b[?25l" in text
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_no_color_leaves_a_terminal_without_colours(
    events: list[Event], result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    assert colour.search(_told(events, result, is_tty=True))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(_told(events, result, is_tty=True))


def test_a_dumb_terminal_gets_the_log(events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _told(events, is_tty=True) == _told(events, is_tty=False)
