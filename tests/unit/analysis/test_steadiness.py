"""A span of load is the steady state when the whole of it keeps the success and the p99."""

import pytest

from gameday.analysis.operations import Operations
from gameday.analysis.steadiness import unsteady
from gameday.testing import HistoryBuilder


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (HistoryBuilder(lasts="5s"), None),
        (HistoryBuilder(lasts="5s").outage("1s", "1.05s"), None),
        (HistoryBuilder(lasts="5s").outage("1s", "1.1s"), "98.0000% of 1000 operations succeeded"),
        (HistoryBuilder(lasts="5s").slow("1s", "1.05s", "300ms"), None),
        (HistoryBuilder(lasts="5s").slow("1s", "1.1s", "300ms"), "only 980 of 1000 operations"),
        (HistoryBuilder(lasts="0s"), "no operation came due"),
    ],
)
def test_what_breaks_the_steady_state_is_told_with_numbers(
    builder: HistoryBuilder, words: str | None
) -> None:
    observation = builder.build()
    operations = Operations.from_rows(observation.history.rows, observation.history.streams[0])
    why = unsteady(operations, observation.steady)
    assert why is None if words is None else why is not None and words in why
