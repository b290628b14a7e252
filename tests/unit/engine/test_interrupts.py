"""A signal is remembered, raises where nothing is half made, and waits for no call that hangs."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gameday.engine.interrupts import Interrupted, Interrupts

_GRACE_S = 0.2
_LONG_S = 10.0

STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


def send(number: signal.Signals, *, after_s: float = 0.0) -> None:
    if after_s:
        threading.Timer(after_s, os.kill, (os.getpid(), number)).start()
    else:
        os.kill(os.getpid(), number)


def hang(number: signal.Signals | None = None, *, then: signal.Signals | None = None) -> None:
    """Wait for nothing for a long time, in which these signals come."""
    if number is not None:
        send(number)
    if then is not None:
        send(then, after_s=0.1)
    time.sleep(_LONG_S)


@contextmanager
def taking(least_s: float, most_s: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert least_s <= time.monotonic() - began < most_s


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_raises_only_at_the_next_checkpoint(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        interrupts.checkpoint()
        send(number)
        with pytest.raises(Interrupted, match=number.name):
            interrupts.checkpoint()


def test_a_wait_that_comes_to_no_checkpoint_is_broken_off() -> None:
    undone = threading.Event()
    with (
        Interrupts(undone.set, grace_s=_GRACE_S),
        taking(_GRACE_S, _LONG_S),
        pytest.raises(Interrupted, match="SIGTERM"),
    ):
        hang(signal.SIGTERM)
    assert undone.wait(1)


def test_a_run_that_comes_to_its_checkpoint_is_not_broken_off_later() -> None:
    undone = threading.Event()
    with Interrupts(undone.set, grace_s=_GRACE_S) as interrupts:
        send(signal.SIGTERM)
        with pytest.raises(Interrupted):
            interrupts.checkpoint()
        time.sleep(3 * _GRACE_S)
    assert not undone.is_set()


def test_faults_are_undone_although_the_main_thread_cannot_be_reached() -> None:
    undone: list[float] = []

    def compute() -> None:
        """Give no handler a turn for some seconds."""
        send(signal.SIGTERM, after_s=0.1)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 6_000_000)
        time.sleep(_LONG_S)

    with (
        Interrupts(lambda: undone.append(time.monotonic()), grace_s=_GRACE_S),
        pytest.raises(Interrupted),
    ):
        compute()
    assert undone[0] < time.monotonic() - 0.2


def test_a_second_signal_raises_at_once() -> None:
    with Interrupts(grace_s=_LONG_S), taking(0, 5), pytest.raises(Interrupted, match="SIGINT"):
        hang(signal.SIGINT, then=signal.SIGTERM)


def test_one_signal_changes_nothing_in_the_clean_up() -> None:
    with Interrupts(grace_s=_GRACE_S, step_s=_GRACE_S) as interrupts:
        interrupts.clean_up()
        with interrupts.step():
            send(signal.SIGINT)
            time.sleep(3 * _GRACE_S)
        assert interrupts.received is signal.SIGINT


def test_further_signals_break_off_each_step_of_the_clean_up_that_takes_long() -> None:
    with Interrupts(grace_s=_GRACE_S, step_s=_GRACE_S) as interrupts:
        interrupts.clean_up()
        send(signal.SIGINT)
        with taking(_GRACE_S, _LONG_S), pytest.raises(Interrupted), interrupts.step():
            hang(then=signal.SIGINT)
        with interrupts.step():
            pass
        with taking(_GRACE_S, _LONG_S), pytest.raises(Interrupted), interrupts.step():
            hang()
        time.sleep(2 * _GRACE_S)


def test_a_signal_of_the_run_and_its_breaking_off_are_not_two_for_the_clean_up() -> None:
    with Interrupts(grace_s=_GRACE_S, step_s=_GRACE_S) as interrupts:
        with pytest.raises(Interrupted):
            hang(signal.SIGINT)
        interrupts.clean_up()
        with interrupts.step():
            time.sleep(3 * _GRACE_S)


def test_the_handlers_from_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_who_is_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            send(signal.SIGHUP)
            interrupts.checkpoint()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nothing_is_left_open() -> None:
    def open_ones() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) + threading.active_count()

    before = open_ones()
    for _ in range(3):
        with Interrupts():
            pass
    assert open_ones() == before
    assert signal.set_wakeup_fd(-1) == -1


def test_outside_of_the_main_thread_the_handlers_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with Interrupts() as interrupts, interrupts.step():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(5)
    assert seen == [before]
