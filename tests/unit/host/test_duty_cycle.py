"""Who is stopped most of the time runs for that share of it, however late the stops come."""

import signal
from collections.abc import Sequence
from types import SimpleNamespace

import psutil
import pytest

from gameday.host import duty_cycle, process_tree
from gameday.host.duty_cycle import DutyCycle
from gameday.host.polling import PollingThread
from gameday.model.clock import MILLISECOND, SECOND
from gameday.testing.clocks import ManualClock

_LATE_S = 0.003


class _LateWatch(PollingThread):
    """Whoever rests wakes up late; it is over after four seconds."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def rests(self, wait_s: float) -> bool:
        self._clock.sleep_ns(round((wait_s + _LATE_S) * SECOND))
        return self._clock.now_ns() < 4 * SECOND


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_what_runs_too_long_runs_less_afterwards(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    clock = ManualClock()
    began_ns, ran_ns = clock.now_ns(), 0
    since_ns: int | None = None

    def send(_: Sequence[psutil.Process], number: signal.Signals) -> None:
        nonlocal ran_ns, since_ns
        if since_ns is not None:
            ran_ns += clock.now_ns() - since_ns
        since_ns = clock.now_ns() if number == signal.SIGCONT else None

    monkeypatch.setattr(duty_cycle, "time", SimpleNamespace(monotonic_ns=clock.now_ns))
    monkeypatch.setattr(process_tree, "send", send)
    DutyCycle(list, share)._turn(_LateWatch(clock))
    took_ns = clock.now_ns() - began_ns
    # A period is as late as its end, so that there are some fewer of them; one is cut short.
    assert ran_ns <= share * (took_ns + 100 * MILLISECOND) + 3 * MILLISECOND
    assert ran_ns >= 0.9 * share * took_ns
