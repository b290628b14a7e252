from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gameday.errors import ScenarioError
from gameday.loading import is_scenario
from gameday.loading.document import expand
from gameday.loading.parsing import read_node

Complaints = Callable[[Callable[[], object]], list[str]]
HEADER = "# Licensed to somebody under one or more agreements.\n" * 200


@pytest.mark.parametrize(
    "text",
    [
        "scenario: a\n",
        HEADER + "scenario: a\n",
        '"scenario": a\n',
        "'scenario': a\n",
        '"\\x73cenario": a\n',
        "? scenario\n: a\n",
        "!!str scenario: a\n",
        "{title: b, scenario: a}\n",
        '{"title": "b", "scenario": "a"}',
        "---\n# c\nscenario: a\n",
        "%YAML 1.1\n---\nscenario: a\n",
        "\ufeffscenario: a\n",
        "title: a\nx: &x {scenario: a}\n<<: *x\n",
        "title: a\n<<: [{y: 1}, {scenario: a}]\n",
        "  title: a\n  scenario: b\n",
        # Wrong otherwise, and meant as one: who reads it whole has to say what is wrong.
        "scenario: a\nrest: ]",
        "title: ]\nscenario: a\n",
        "title: caf\udce9\nscenario: a\n",
    ],
)
def test_a_scenario_is_known_by_its_key_however_that_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert is_scenario(path)


@pytest.mark.parametrize(
    "text",
    ["", "test: a\n", "test: {scenario: a}\n", "- scenario: a\n", "a: |\n  scenario: b\n", "a: ]"],
)
def test_other_yaml_is_no_scenario(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert not is_scenario(path)


def test_what_cannot_be_read_is_no_scenario(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name in ("missing.yaml", "loop.yaml", "."):
        assert not is_scenario(tmp_path / name)


BLOCK = "is not YAML: '>' begins a block of text in YAML; put a text that begins with '>' in quotes"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: >= 60%\n", f'1:4: {BLOCK}: ">= 60%"'),
        ("a: > 60%\nb: c\n", f'1:4: {BLOCK}: "> 60%"'),
        ("a: >60%\n", f'1:4: {BLOCK}: ">60%"'),
        ("a: {b: >= 99.5 %, c: d}\n", f'1:8: {BLOCK}: ">= 99.5 %"'),
        ("a: {b: >= 2s}\n", f'1:8: {BLOCK}: ">= 2s"'),
        ("a: >most\n", f"1:4: {BLOCK}"),
    ],
)
def test_a_limit_without_its_quotes_is_told_that_it_needs_them(
    tmp_path: Path, complaints: Complaints, text: str, wanted: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert complaints(lambda: read_node(path)) == [f"a.yaml:{wanted}"]


def read(path: Path) -> tuple[object, ...]:
    try:
        source = expand(path, read_node(path))
    except ScenarioError as error:
        return (str(error),)
    return repr(source.plain), source.spots, source.lines


scraps = st.lists(
    st.sampled_from(
        [*"\t{}[],'\">|?%@`~=#\\é", ": ", "- ", "&a ", "*a", "<<: ", "!!str ", "\n", "\n  ", "\r",
         "\u2028", "\x85", "\ufeff", "---\n", "010", "1:30", "1_000", "x"]
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML is here without libyaml")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_means_the_same_with_and_without_libyaml(
    tmp_path: Path, good: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 10)))
    path = tmp_path / "a.yaml"
    path.write_text(good[:start] + "".join(data.draw(scraps)) + good[end:], newline="")
    fast = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gameday.loading.parsing._FAST", None)
        assert read(path) == fast


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML is here without libyaml")
@pytest.mark.parametrize(
    "text", ["a: [b: , c]\n", "a: {b: }\n", "a: [b: # c\n  , d]\n", "a: {b: \n\n  , c: d}\n"]
)
def test_a_value_left_out_is_at_the_same_place_with_and_without_libyaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    fast = read(path)
    monkeypatch.setattr("gameday.loading.parsing._FAST", None)
    assert read(path) == fast
