import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gameday.model.result import Marks, Result, TimeSeries, Window
from gameday.model.verdict import Verdict
from gameday.report.drawing import text_width
from gameday.report.timeline import TimelineWriter, timeline_svg

SVG = "{http://www.w3.org/2000/svg}"
SECOND = 1_000_000_000


def _drawn(result: Result) -> ET.Element:
    return ET.fromstring(timeline_svg(result))


def _texts(result: Result) -> list[str]:
    return [element.text or "" for element in _drawn(result).iter(f"{SVG}text")]


def test_the_picture_is_alone_in_its_file(result: Result) -> None:
    svg = timeline_svg(result)
    assert "<script" not in svg
    assert svg.count("http") == 1, "the name space is the only address"
    assert "url(#" in svg


def test_a_screen_reader_is_told_all_of_it(result: Result) -> None:
    root = _drawn(result)
    described = root.attrib["aria-labelledby"].split()
    said = {element.attrib.get("id"): element.text or "" for element in root}
    words = " ".join(said[name] for name in described)
    assert root.attrib["role"] == "img"
    for claim in (
        "FAIL: redis-restart",
        "3 acknowledged signals were lost",
        "kill redis: from 6.20 s to 8.22 s",
        "recovery 4.32 s (4.31 s to 4.32 s)",
        "t5, first success, at 9.308 s",
        "Operations: 2380 served, 594 late or refused, 26 error or no answer",
    ):
        assert claim in words


def test_the_fault_is_labelled_with_its_declared_and_actual_length(result: Result) -> None:
    assert "kill redis 2.0 s, actual 2.02 s" in _texts(result)
    noop = replace(result.faults[0], proven=False)
    assert "kill redis 2.0 s, actual 2.02 s, NOT PROVEN" in _texts(replace(result, faults=(noop,)))


def test_outcomes_differ_in_hatching_not_only_in_colour(result: Result) -> None:
    root = _drawn(result)
    assert {path.attrib["class"] for path in root.iter(f"{SVG}path")} == {"ok", "failed", "unknown"}
    style = next(root.iter(f"{SVG}style")).text or ""
    assert ".failed { fill: url(#gameday-failed)" in style
    assert ".unknown { fill: url(#gameday-unknown)" in style
    assert {"served 2 380", "late or refused 594", "error or no answer 26"} <= set(_texts(result))


def test_every_mark_that_happened_has_a_label_and_none_overlap(result: Result) -> None:
    root = _drawn(result)
    labels = [e for e in root.iter(f"{SVG}text") if e.attrib["class"] == "mark"]
    assert [(e.text or "").split()[0] for e in labels] == [f"t{n}" for n in range(7)]
    edges = []
    for element in labels:
        half = text_width(element.text or "", 11, bold=True) / 2
        edges.append((float(element.attrib["x"]) - half, float(element.attrib["x"]) + half))
    assert all(left[1] <= right[0] for left, right in pairwise(edges))


def test_marks_stand_in_the_order_in_which_they_happened(result: Result) -> None:
    marks = Marks(t0=6 * SECOND, t3=9 * SECOND, t5=8 * SECOND)
    labels = [e.text for e in _drawn(replace(result, marks=marks)).iter(f"{SVG}text")]
    shown = [label for label in labels if label and label[0] == "t" and label[1].isdigit()]
    assert shown == ["t0 6.000 s", "t5 8.000 s", "t3 9.000 s"]


def test_an_outage_leaves_a_gap_in_the_latency(result: Result) -> None:
    lines = [e for e in _drawn(result).iter(f"{SVG}polyline") if e.attrib["class"] == "p50"]
    wide = [e for e in lines if len(e.attrib["points"].split()) > 2]
    assert len(wide) == 2


def test_the_steady_limit_is_drawn_where_it_is_known(result: Result) -> None:
    assert "steady: p99 <= 100ms" in _texts(result)
    assert not [t for t in _texts(replace(result, steady={})) if t.startswith("steady:")]


def test_text_is_escaped(result: Result) -> None:
    fault = replace(result.faults[0], target='<script>"&\x00')
    wild = replace(result, title="<b>&", reason="</svg>\x1b", faults=(fault,))
    assert any('kill <script>"&' in words for words in _texts(wild))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_verdict_is_written_not_only_coloured(result: Result, verdict: Verdict) -> None:
    assert verdict.value in _texts(replace(result, verdict=verdict))


def test_a_run_that_ended_before_any_load_is_drawn_too(result: Result) -> None:
    bare = replace(
        result,
        verdict=Verdict.ERROR,
        series=None,
        findings=(),
        faults=(),
        marks=Marks(),
        phases={},
        proxy_share=None,
    )
    texts = _texts(bare)
    assert "no operations were recorded" in texts
    assert "seconds since the start of the run" not in texts


def test_a_long_run_stays_a_small_file(result: Result) -> None:
    count = 36_000
    latency = tuple(2_000_000 + 1000 * (n % 7) for n in range(count))
    hour = TimeSeries(
        start_ns=0,
        slot_ns=100_000_000,
        ok=tuple(15 + n % 5 for n in range(count)),
        failed=tuple(n % 3 for n in range(count)),
        unknown=(0,) * count,
        p50_ns=latency,
        p99_ns=latency,
    )
    phases = {"baseline": Window(start_ns=0, end_ns=3600 * SECOND)}
    long = replace(result, series=hour, phases=phases, faults=(), marks=Marks())
    assert len(timeline_svg(long)) < 200_000


def test_the_writer_leaves_the_file(tmp_path: Path, result: Result) -> None:
    TimelineWriter(tmp_path).on_result(result)
    assert (tmp_path / "timeline.svg").read_text(encoding="utf-8") == timeline_svg(result)
