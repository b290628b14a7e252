"""Findings of extensions stand beside gameday's own, whatever their functions do."""

from dataclasses import replace

import numpy as np

from gameday.analysis import FINDINGS, Analysis, analyse
from gameday.api.finding_kind import FindingKind
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.finding import Finding
from gameday.model.history import Observation
from gameday.model.units import Unit
from gameday.testing.histories import HistoryBuilder


def kind(value: float | None, **more: tuple[str, str]) -> FindingKind:
    def find(observation: Observation) -> Finding:
        if value is None:
            raise ZeroDivisionError("by nobody")
        return Finding(
            name="other", value=value, low=value, high=value, unit=Unit.NS, samples=1,
            resolution=1, evidence="it was looked at",
        )  # fmt: skip

    return FindingKind(name="added", unit=Unit.NS, find=find, **more)


def observed() -> Observation:
    return HistoryBuilder(lasts="5s").outage("1s", "2s").build()


def analysed(added: FindingKind, observation: Observation | None = None) -> Analysis:
    return analyse(observation or observed(), [added])


def test_an_added_finding_comes_after_all_others_under_its_own_name() -> None:
    found = analysed(kind(7)).findings
    assert [finding.name for finding in found] == [*FINDINGS, "added"]
    assert found[-1].value == 7


def test_a_function_that_fails_or_gives_another_unit_leaves_its_finding_unmeasured() -> None:
    failed = analysed(kind(None)).finding("added")
    assert failed.value is None
    assert failed.evidence == "its function failed: ZeroDivisionError: by nobody"
    wrong = analysed(replace(kind(7), unit=Unit.COUNT)).finding("added")
    assert wrong.value is None
    assert "it is declared as a count" in wrong.evidence


def test_a_stall_leaves_open_only_a_time_that_says_where_it_lies() -> None:
    observation = observed()
    noise = observation.noise
    assert noise is not None
    at_ns = np.array([observation.load.start_ns + 3 * SECOND], np.int64)
    stalled = replace(
        observation,
        noise=replace(noise, hiccup_at_ns=at_ns, hiccup_ns=np.array([50 * MILLISECOND], np.int64)),
    )
    assert "added" not in analysed(kind(SECOND), stalled).doubts
    doubt = analysed(kind(SECOND, between=("t0", "t6")), stalled).doubts["added"]
    assert doubt.low <= SECOND - 50 * MILLISECOND
    assert doubt.high >= SECOND + 50 * MILLISECOND
