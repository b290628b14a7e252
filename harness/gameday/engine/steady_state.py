"""The load as it is seen while it runs: progress, steadiness and recovery.

A look is several times a second, so it costs what is new or recent, however long the load lasts.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gameday.analysis.operations import Operations
from gameday.analysis.recovery import estimate
from gameday.analysis.signals import PUBLISH, match, published_in
from gameday.analysis.steadiness import unsteady
from gameday.api.workload import Ledger
from gameday.errors import InternalError
from gameday.load.reader import LiveView, read_history
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.history import FaultTimes, History
from gameday.model.operation import StreamInfo
from gameday.model.result import Window
from gameday.model.scenario import Scenario
from gameday.model.units import format_duration

__all__ = ["SteadyStateMonitor", "StopConditionMet"]

_ANSWER_TIME_NS = 100 * MILLISECOND
"""Operations younger than this are not looked at yet: their answer may be on its way."""


_SPANS = 3
"""So many spans of the steady state are looked at: the last one, and how it came about."""


class StopConditionMet(Exception):
    """The load looks as it may not: every fault has to be undone now."""


class SteadyStateMonitor:
    """Sees the workload from end to end with the estimators that the verdict will use."""

    def __init__(self, folder: Path, ledger: Ledger, scenario: Scenario) -> None:
        """`folder` is where the history will be; the monitor closes `ledger` at its end."""
        self._folder = folder
        self._live: LiveView | None = None
        self._ledger = ledger
        self._steady = scenario.steady
        self._stop = scenario.safety.stop
        self._minded_since_ns: int | None = None
        self._baseline: tuple[Operations, int] | None = None
        self._streams: tuple[StreamInfo, ...] = ()

    def start(self) -> None:
        """Open the history: the load driver is ready, so its files are there."""
        self._streams = (read_history(self._folder).stream(PUBLISH),)
        self._live = LiveView(self._folder)

    def look(self, now_ns: int) -> dict[str, float | int | str]:
        """Return the facts of a Progress event: the last second of what is old enough.

        Raises StopConditionMet once that is minded and holds.
        """
        self._refuse_to_go_on(now_ns)
        until_ns = now_ns - _ANSWER_TIME_NS
        seen = self._operations(Window(start_ns=until_ns - SECOND, end_ns=until_ns))
        served = seen.latency_ns[seen.ok]
        return {
            "operations": self._view.operations,
            "per_s": float(len(seen)),
            "success": float(np.count_nonzero(seen.good)) / len(seen) if len(seen) else 0.0,
            "p99_ns": int(np.percentile(served, 99)) if served.size else 0,
        }

    def unsteady(self, window: Window) -> str | None:
        """Return why the steady state did not hold in `window`; None when it did.

        Whether it holds again later is told beside the last window that was asked for.
        """
        seen = self._operations(window)
        answered = Window(start_ns=window.start_ns, end_ns=window.end_ns - _ANSWER_TIME_NS)
        self._baseline = seen.within(answered), window.end_ns
        return unsteady(seen, self._steady)

    def has_recovered(self, faults: Sequence[FaultTimes], load_start_ns: int, now_ns: int) -> bool:
        """Tell whether the steady state has held again for its span after every fault.

        Only the baseline and the last spans are looked at: what lies between has nothing to say
        about the last one.
        """
        until_ns = now_ns - _ANSWER_TIME_NS
        span_ns = self._steady.for_ns
        if until_ns < max((f.undone.end_ns for f in faults if f.undone), default=0) + span_ns:
            return False
        before, before_ns = self._baseline or (None, load_start_ns)
        recent_ns = max(before_ns, until_ns - _SPANS * span_ns)
        seen = self._operations(Window(start_ns=recent_ns, end_ns=until_ns))
        seen = seen if before is None else before.then(seen)
        recovery = estimate(seen, faults, self._steady, until_ns)
        if recovery is None or recovery.healed is None:
            return False
        return recovery.steady.came and recovery.healed.came

    def mind_the_stop_condition(self, since_ns: int | None) -> None:
        """Let `look` mind what the load was like after that moment; None: no longer."""
        self._minded_since_ns = since_ns

    def close(self) -> None:
        if self._live is not None:
            self._live.close()
        self._ledger.close()

    @property
    def _view(self) -> LiveView:
        if self._live is None:
            raise InternalError("the steady state was not watched yet")
        return self._live

    def _operations(self, window: Window) -> Operations:
        """Return the signals that came due in `window`, delivered as far as is known by now."""
        self._ledger.poll()
        rows = self._view.since(window.start_ns - 1, PUBLISH)
        published = published_in(History(rows=rows, streams=self._streams, errors=("",)))
        delivered = self._ledger.since(window.start_ns)
        return match(published, delivered).operations().within(window)

    def _refuse_to_go_on(self, now_ns: int) -> None:
        if self._stop is None or self._minded_since_ns is None:
            return
        until_ns = now_ns - _ANSWER_TIME_NS
        span = Window(start_ns=until_ns - self._stop.for_ns, end_ns=until_ns)
        if span.start_ns < self._minded_since_ns:
            return
        seen = self._operations(span)
        if not len(seen):  # of a slow load nothing may have come due
            return
        success = float(np.count_nonzero(seen.good)) / len(seen)
        if self._stop.success.holds(success):
            self._minded_since_ns = None
            raise StopConditionMet(
                f"success was {success:.1%} for {format_duration(self._stop.for_ns)}, "
                f"and safety.stop says {self._stop.success.text}"
            )
