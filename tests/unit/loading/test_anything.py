"""Whatever stands in a file, loading gives a scenario or a ScenarioError."""

import re
from pathlib import Path
from typing import Protocol

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gameday.errors import ScenarioError
from gameday.loading import find_scenarios, load_slas, load_target, sweep
from gameday.model.scenario import Scenario, Vocabulary


class Load(Protocol):
    def __call__(self, text: str, /, **settings: str) -> Scenario: ...


LINE = re.compile(r"[^\n]*good\.yaml:\d+:\d+: \S[^\n]*")
FUZZ = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = """
scenario title target tags parameters workload steady timeline faults expect sabotage kill latency
publish sla at for to rate recovery signals redis relay 2s 200/s yes on 1 0x1f 1.5 ~ <<: *a &a
${outage} ${x} !!int !!set << = .nan .inf 2001-01-01 12:30 [ ] { } , : - ? | >
"""
words = st.sampled_from(WORDS.split())
scraps = st.lists(st.one_of(words, st.text(max_size=8), st.sampled_from(["\n", "\n  ", ": "])))
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), words, st.text(max_size=8), st.dates()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(words, st.integers()), inner)
    ),
    max_leaves=12,
)


def check(load: Load, text: str) -> None:
    try:
        assert isinstance(load(text), Scenario)
    except ScenarioError as error:
        for line in str(error).splitlines():
            assert LINE.fullmatch(line), line


@FUZZ
@given(text=st.one_of(st.text(), scraps.map(" ".join)))
def test_any_text_is_a_scenario_or_a_scenario_error(load: Load, text: str) -> None:
    check(load, text.encode("utf-8", "replace").decode())


@FUZZ
@given(data=st.data())
def test_any_change_of_a_right_file_is_a_scenario_or_a_scenario_error(
    load: Load, good: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 30)))
    scrap = data.draw(st.one_of(words, scraps.map(" ".join)))
    check(load, (good[:start] + scrap + good[end:]).encode("utf-8", "replace").decode())


@FUZZ
@given(data=st.data())
def test_any_value_in_any_place_is_a_scenario_or_a_scenario_error(
    load: Load, good: str, data: st.DataObject
) -> None:
    content = yaml.safe_load(good)
    holder, key = content, data.draw(st.sampled_from(sorted(content)))
    while isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(list(keys)))
    holder[key] = data.draw(values)
    check(load, yaml.safe_dump(content, allow_unicode=True))


@FUZZ
@given(text=st.one_of(scraps.map(" ".join), values.map(yaml.safe_dump)))
def test_any_text_is_read_by_every_loader_or_refused(
    tmp_path: Path, vocabulary: Vocabulary, text: str
) -> None:
    path = tmp_path / "good.yaml"
    path.write_bytes(text.encode("utf-8", "replace"))
    for call in (
        lambda: sweep(path),
        lambda: load_target(path, vocabulary),
        lambda: load_slas(path, vocabulary),
        lambda: find_scenarios("tag:x", [tmp_path]),
        lambda: find_scenarios(text, [tmp_path]),
    ):
        try:
            call()
        except ScenarioError:
            continue


@FUZZ
@given(content=st.binary())
def test_any_bytes_are_refused_in_words(
    tmp_path: Path, vocabulary: Vocabulary, content: bytes
) -> None:
    path = tmp_path / "good.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=r"good\.yaml:\d+:\d+: "):
        load_target(path, vocabulary)
