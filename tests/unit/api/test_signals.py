"""What the kernel tells of signals is read as their numbers."""

import os
import signal
from pathlib import Path

import pytest

from gameday.api.signals import signals_in


def test_this_process_catches_an_interrupt_and_ignores_a_broken_pipe() -> None:
    told = signals_in(Path(f"/proc/{os.getpid()}/status").read_text())
    assert signal.SIGINT in told.caught
    assert signal.SIGPIPE in told.ignored
    assert signal.SIGKILL not in told.caught | told.ignored | told.waiting


def test_the_highest_and_the_lowest_signal_are_told_apart() -> None:
    zero = "0" * 16
    text = f"SigPnd:\t{zero}\nShdPnd:\t{'0' * 15}1\nSigIgn:\t{zero}\nSigCgt:\t8{'0' * 15}\n"
    told = signals_in(text)
    assert told.caught == {64}
    assert told.waiting == {1}
    assert not told.ignored


def test_a_text_that_tells_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="SigCgt"):
        signals_in("cat: /proc/1/status: No such file or directory")
