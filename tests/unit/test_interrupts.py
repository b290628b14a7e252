"""A signal is remembered, and raises where nothing is half made."""

import os
import signal
import threading

import pytest

from gameday.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_only_at_the_next_checkpoint(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        interrupts.checkpoint()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=number.name):
            interrupts.checkpoint()


def test_the_handlers_from_before_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_of_the_main_thread_the_handlers_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(5)
    assert seen == [before]
