from dataclasses import replace

from gameday.model.result import Marks, Result, Window
from gameday.model.verdict import Verdict
from gameday.report.terminal import failure_text


def _line(text: str, *words: str) -> str:
    """Return the one line that has all of `words`."""
    (line,) = [line for line in text.splitlines() if all(word in line for word in words)]
    return line


def test_the_first_line_is_the_verdict_and_why(result: Result) -> None:
    first, second, *_ = failure_text(result).splitlines()
    assert first == f"FAIL  {result.reason}"
    assert "the system under test broke an expectation" in second


def test_every_reason_is_told_and_the_first_line_counts_the_others(result: Result) -> None:
    text = failure_text(replace(result, reason="a was broken.\nb was broken.\nc was not told."))
    assert text.splitlines()[0] == "FAIL  a was broken. And 2 more."
    assert "\n\nWhy\n  a was broken.\n  b was broken.\n  c was not told.\n\n" in text


def test_an_error_in_the_midst_of_a_run_does_not_blame_the_harness_alone(result: Result) -> None:
    second = failure_text(replace(result, verdict=Verdict.ERROR)).splitlines()[1]
    assert "the environment refused or the harness failed" in second


def test_what_broke_is_told_before_what_held(result: Result) -> None:
    text = failure_text(result)
    assert text.index("arbees/no-message-loss: wanted") < text.index("arbees/mttr: wanted")
    assert _line(text, "arbees/no-message-loss:", "wanted == 0", "seen 3", "margin -3")
    assert _line(text, "promised in 002_576c939d27691360.txt, Success Criteria")


def test_a_fault_is_told_as_asked_measured_proven_and_undone(result: Result) -> None:
    text = failure_text(result)
    assert _line(text, "kill redis", "from 6.20 s to 8.22 s", "2.02 s", "declared 2 s")
    assert _line(text, "asked", "signal SIGKILL")
    assert _line(text, "measured", "exit signal 9", "gone after 2 ms")
    assert "NOT PROVEN" not in text


def test_a_missing_proof_stands_out(result: Result) -> None:
    noop = replace(result.faults[0], proven=False, undone=False, window=None)
    text = failure_text(replace(result, faults=(noop,), verdict=Verdict.INVALID))
    assert _line(text, "kill redis", "never active")
    assert _line(text, "ITS EFFECT WAS NOT PROVEN", "ITS UNDO WAS NOT PROVEN")
    assert "says nothing about the system" in text


def test_recovery_is_split_and_each_part_has_its_interval(result: Result) -> None:
    text = failure_text(result)
    assert _line(text, "outage", "3.1 s (3.1 s to 3.11 s)", "the longest spell")
    assert _line(text, "recovery_after_heal", "2.21 s (2.2 s to 2.22 s)")
    assert _line(text, "failover", "never within 30 s")
    assert _line(text, "the harness’s own", "0.2 ms (0.1 ms to 0.3 ms)")


def test_losses_are_told_with_their_evidence(result: Result) -> None:
    text = failure_text(result)
    assert _line(text, "lost", " 3 ", "ids 1003, 1004, 1005 were acknowledged")
    assert _line(text, "rpo", "not measured", "the final read has no times")


def test_moments_that_did_not_happen_are_told_so(result: Result) -> None:
    text = failure_text(replace(result, marks=Marks(t0=1_000_000_000)))
    assert _line(text, "t0", "1.000 s")
    assert _line(text, "t6", "steady again", "did not happen")


def test_guards_and_leftovers_are_told(result: Result) -> None:
    text = failure_text(replace(result, guards=("generator late",), clean=("process 4711",)))
    assert "Validity guards that failed\n  generator late" in text
    assert "Left behind\n  process 4711" in text
    assert "Left behind\n  nothing" in failure_text(result)


def test_the_run_can_be_replayed_and_looked_into(result: Result) -> None:
    text = failure_text(replace(result, sabotage="no-reconnect"))
    command = _line(text, "replay")
    assert "pytest --scenario=redis-restart" in command
    assert "--gameday-seed=424242" in command
    assert "--gameday-runtime=process" in command
    assert "--gameday-set=outage=2s" in command
    assert "--gameday-sabotage -k no-reconnect" in command
    assert _line(text, "evidence", result.folder)
    assert "sabotaged on purpose: no-reconnect" in text


def test_a_run_that_ended_early_is_still_explained(result: Result) -> None:
    early = replace(
        result,
        verdict=Verdict.ERROR,
        reason="redis did not\tcome up",
        phases={"start": Window(start_ns=0, end_ns=1)},
        faults=(),
        findings=(),
        expectations=(),
        marks=Marks(),
        series=None,
        proxy_share=None,
    )
    text = failure_text(early)
    assert text.startswith(
        "ERROR  redis did not come up\n  that is: the environment refused to come up"
    )
    assert "Why" not in text
    assert "Faults" not in text
    assert "Recovery" not in text
