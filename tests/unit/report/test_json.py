import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.model.finding import Finding
from gameday.model.result import FaultRecord, Marks, Result, TimeSeries, Window
from gameday.model.units import Unit
from gameday.model.verdict import Judgement, Verdict
from gameday.report.json import ResultWriter, read_result, result_from_json, result_to_json

# A surrogate alone is no text in JSON's encoding; the writer escapes it on the way to the file.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NS = st.integers(0, 10**12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.dictionaries(
    TEXT, TEXT | st.integers() | NUMBER | st.booleans() | st.none(), max_size=3
)
WINDOWS = st.builds(Window, start_ns=NS, end_ns=NS)
COUNTS = st.lists(st.integers(0, 500), max_size=4).map(tuple)
LATENCIES = st.lists(st.none() | NS, max_size=4).map(tuple)


@st.composite
def _findings(draw: st.DrawFn) -> Finding:
    name, unit = draw(TEXT), draw(st.sampled_from(Unit))
    kind = draw(st.sampled_from(["measured", "unmeasured", "never", "open"]))
    if kind == "unmeasured":
        return Finding.unmeasured(name, unit, draw(TEXT))
    value = math.inf if kind == "never" else draw(NUMBER)
    return Finding(
        name=name,
        value=value,
        low=draw(NUMBER),
        high=draw(NUMBER) if kind == "measured" else math.inf,
        unit=unit,
        samples=draw(st.integers(0, 10**9)),
        resolution=draw(NUMBER),
        evidence=draw(TEXT),
    )


FAULTS = st.builds(
    FaultRecord,
    fault=TEXT,
    target=TEXT,
    asked=SCALARS,
    exposure=st.none() | st.integers(0),
    measured=SCALARS,
    active_at_end=st.none() | st.booleans(),
    lapse=TEXT,
    met=st.none() | st.integers(0),
    proven=st.booleans(),
    undone=st.booleans(),
    window=st.none() | WINDOWS,
)
JUDGEMENTS = st.builds(
    Judgement,
    name=TEXT,
    wanted=TEXT,
    seen=TEXT,
    margin=TEXT,
    verdict=st.sampled_from(Verdict),
    sla=st.none() | TEXT,
    source=st.none() | TEXT,
    severity=TEXT,
)
RESULTS = st.builds(
    Result,
    scenario=TEXT,
    title=TEXT,
    verdict=st.sampled_from(Verdict),
    reason=TEXT,
    runtime=TEXT,
    seed=st.integers(0, 2**64),
    parameters=st.dictionaries(TEXT, TEXT, max_size=2),
    started_at=TEXT,
    host=SCALARS,
    faults=st.lists(FAULTS, max_size=2).map(tuple),
    findings=st.lists(_findings(), max_size=3).map(tuple),
    expectations=st.lists(JUDGEMENTS, max_size=2).map(tuple),
    guards=st.lists(TEXT, max_size=2).map(tuple),
    marks=st.builds(Marks, t0=st.none() | NS, t1=st.none() | NS, t6=st.none() | NS),
    phases=st.dictionaries(TEXT, WINDOWS, max_size=2),
    series=st.none()
    | st.builds(
        TimeSeries,
        start_ns=NS,
        slot_ns=NS,
        ok=COUNTS,
        failed=COUNTS,
        unknown=COUNTS,
        p50_ns=LATENCIES,
        p99_ns=LATENCIES,
    ),
    steady=st.dictionaries(TEXT, TEXT, max_size=2),
    proxy_share=st.none() | _findings(),
    clean=st.lists(TEXT, max_size=2).map(tuple),
    folder=TEXT,
    sabotage=TEXT,
)


def _refuse(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@given(RESULTS)
def test_every_result_reads_back_equal_from_strict_json(result: Result) -> None:
    text = result_to_json(result)
    json.loads(text, parse_constant=_refuse)
    assert result_from_json(text) == result


def test_the_names_are_those_of_the_design(result: Result) -> None:
    plain = json.loads(result_to_json(result))
    assert next(iter(plain)) == "schema_version"
    assert plain["schema_version"] == 1
    assert set(plain) >= {
        *("schema_version", "scenario", "verdict", "reason", "runtime", "seed", "parameters"),
        *("started_at", "host", "faults", "findings", "expectations", "marks", "proxy_share"),
        "clean",
    }
    assert set(plain["faults"][0]) == {
        *("fault", "target", "asked", "measured", "proven", "undone", "window"),
    }
    assert set(plain["findings"][0]) >= {
        *("name", "value", "low", "high", "unit", "samples", "resolution"),
    }
    assert set(plain["expectations"][0]) >= {
        *("name", "wanted", "seen", "margin", "verdict", "sla", "source"),
    }
    assert set(plain["marks"]) == {f"t{number}" for number in range(7)}


def test_what_a_proof_rests_on_is_among_what_was_asked_and_measured(result: Result) -> None:
    fault = replace(
        result.faults[0], exposure=200, met=250, active_at_end=False, lapse="somebody thawed it"
    )
    plain = json.loads(result_to_json(replace(result, faults=(fault,))))
    (written,) = plain["faults"]
    assert written["asked"] == {**fault.asked, "exposure": 200}
    assert written["measured"] == {
        **fault.measured,
        "in_at_end": False,
        "lapse": "somebody thawed it",
        "operations_exposed": 250,
    }


def test_of_a_fault_that_nobody_looked_at_only_what_is_known_is_written(result: Result) -> None:
    (fault,) = result.faults
    (written,) = json.loads(result_to_json(result))["faults"]
    assert written["measured"] == {**fault.measured, "operations_exposed": None}


def test_what_never_happened_and_what_was_not_measured_differ(result: Result) -> None:
    plain = json.loads(result_to_json(result))
    by_name = {finding["name"]: finding for finding in plain["findings"]}
    never, unmeasured = by_name["failover"], by_name["rpo"]
    assert (never["value"], never["low"], never["high"]) == (None, 30e9, None)
    assert (unmeasured["value"], unmeasured["low"], unmeasured["high"]) == (None, None, None)


def test_a_value_that_is_no_number_is_refused(result: Result) -> None:
    wrong = replace(result.findings[0], value=math.nan)
    with pytest.raises(ValueError, match="JSON"):
        result_to_json(replace(result, findings=(wrong,)))


def test_the_file_is_whole_or_as_it_was(tmp_path: Path, result: Result) -> None:
    writer = ResultWriter(tmp_path)
    writer.on_result(result)
    wrong = replace(result.findings[0], value=math.nan)
    with pytest.raises(ValueError, match="JSON"):
        writer.on_result(replace(result, findings=(wrong,)))
    assert read_result(tmp_path / "result.json") == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_reader_never_sees_a_part_of_the_file(
    tmp_path: Path, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    replace_file = Path.replace

    def watched(path: Path, target: Path) -> Path:
        seen.append((tmp_path / "result.json").exists())
        assert result_from_json(path.read_text(encoding="utf-8")) == result
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    ResultWriter(tmp_path).on_result(result)
    assert seen == [False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "outermost"),
        ('{"schema_version": 2}', "schema_version is 2; this version of gameday reads 1"),
        ("{}", "schema_version is None"),
        ('{"schema_version": 1}', "scenario"),
        ("{", "Expecting"),
    ],
)
def test_a_file_that_is_no_result_is_told_by_name(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)result\.json: .*{told}"):
        read_result(path)


def test_text_that_was_no_text_does_not_end_the_run(tmp_path: Path, result: Result) -> None:
    ResultWriter(tmp_path).on_result(replace(result, reason="redis said \udcff"))
    assert json.loads((tmp_path / "result.json").read_text())["reason"] == "redis said \udcff"
