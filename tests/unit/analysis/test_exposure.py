"""Operations met a fault when they came due while it was in, on a stream that passes it."""

import pytest

from gameday.analysis import exposed
from gameday.model.clock import SECOND
from gameday.model.plan import PlannedFault
from gameday.model.result import Window
from gameday.testing import HistoryBuilder

RUN = HistoryBuilder(rate_per_s=200, probes_per_s=50, lasts="10s").build()


def fault(*met_by: str) -> PlannedFault:
    return PlannedFault(
        step=0, fault="kill", target="a", at_ns=0, until_ns=SECOND, settings={}, met_by=met_by
    )


def span(start_s: float, end_s: float) -> Window:
    start_ns = RUN.load.start_ns
    return Window(start_ns=start_ns + int(start_s * SECOND), end_ns=start_ns + int(end_s * SECOND))


@pytest.mark.parametrize(
    ("streams", "window", "met"),
    [
        (("publish",), span(2, 3), 200),
        (("publish", "probe-front"), span(2, 3), 250),
        ((), span(2, 3), 0),
        (("publish",), span(9.5, 12), 100),
        (("publish",), span(2, 2), 0),
        (("publish",), span(2, 2.0001), 1),
    ],
)
def test_what_comes_due_in_the_window_counts(
    streams: tuple[str, ...], window: Window, met: int
) -> None:
    assert exposed(RUN.history, fault(*streams), window) == met


@pytest.mark.parametrize(("counted", "met"), [(None, 200), (0, 0), (7, 7), (900, 200)])
def test_it_is_no_more_than_the_mechanism_counted(counted: int | None, met: int) -> None:
    assert exposed(RUN.history, fault("publish"), span(2, 3), counted) == met
