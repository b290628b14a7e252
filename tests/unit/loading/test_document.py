import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from gameday.errors import ScenarioError
from gameday.loading import load_target
from gameday.model.scenario import Scenario, Vocabulary


class Load(Protocol):
    def __call__(self, text: str, /, **settings: str) -> Scenario: ...


Complaints = Callable[[Callable[[], object]], list[str]]
ToldAfter = Callable[[str, str], list[str]]

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED_LAUGHS = "a: &a {}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

UNREADABLE = {
    "an empty file": (b"", "1:1: is empty"),
    "a file of comments": (b"# nothing\n", "1:1: is empty"),
    "a list": (b"- a\n", "1:1: has no keys; write 'key: value' lines"),
    "a text": (b"\n  hello\n", "2:3: has no keys; write 'key: value' lines"),
    "Latin-1": (b"title: ok\nx: caf\xe9\n", "2:7: byte 0xe9 is not UTF-8"),
    "a picture": (b"a: \x00\n", "1:4: the character U+0000 is not allowed in YAML"),
    "too many bytes": (b"a: b\n" * 60_000, "1:1: is larger than 256 KiB"),
    "broken YAML": (
        b"a: [1, 2\nb: 3\n",
        "2:2: is not YAML: a list in brackets is not closed, or lacks a comma",
    ),
    "a tab": (
        b"a:\n\t- b\n",
        "2:1: is not YAML: a tab is used here; indent with spaces",
    ),
    "a quote that is not closed": (
        b'a: "b\nc: d\n',
        "1:4: is not YAML: a quote is opened and never closed",
    ),
    "a colon in a text": (
        b"a: b: c\n",
        (
            "1:5: is not YAML: a second ': ' in one line, or a key indented differently from its "
            "siblings; put a text with ': ' in quotes"
        ),
    ),
    "a key without its colon": (
        b"a: b\nc\nd: e\n",
        "2:1: is not YAML: a line of keys has no ':' after its key",
    ),
    "a percent sign": (
        b"a: %b\n",
        "1:4: is not YAML: a text cannot begin with '%' unless it is in quotes",
    ),
    "two documents": (
        b"a: 1\n---\nb: 2\n",
        "2:1: is not YAML: expected a single document in the stream, but found another document",
    ),
    "an alias to nothing": (b"a: *b\n", "1:4: is not YAML: found undefined alias 'b'"),
    "an impossible character": (
        b'a: "\\U99999999"\n',
        "1:7: is not YAML: an impossible character or number",
    ),
    "a deep nest": (
        b"a: " + b"[" * 5_000,
        "1:43: is not YAML: nested deeper than 40 levels",
    ),
    "an alias inside itself": (
        b"target: &a [*a]\n",
        "1:9: an alias refers to a value that contains it",
    ),
    "a merge of itself": (
        b"a: &a\n  <<: *a\n",
        "1:4: an alias refers to a value that contains it",
    ),
    "a billion laughs": (
        LAUGHS.encode(),
        (
            "1:11: is larger than 10000 values or 1000000 characters "
            "once its aliases and parameters are put in"
        ),
    ),
    "a billion merges": (
        MERGED_LAUGHS.encode(),
        (
            "2:4: is larger than 10000 values or 1000000 characters "
            "once its aliases and parameters are put in"
        ),
    ),
}


@pytest.mark.parametrize(("content", "wanted"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints, content: bytes, wanted: str
) -> None:
    path = tmp_path / "target.yaml"
    path.write_bytes(content)
    assert complaints(lambda: load_target(path, vocabulary)) == [f"target.yaml:{wanted}"]


def test_a_file_that_cannot_be_opened_is_one_clear_line(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    assert complaints(lambda: load_target(tmp_path / "a.yaml", vocabulary)) == [
        "a.yaml:1:1: cannot be read: No such file or directory"
    ]
    (tmp_path / "folder.yaml").mkdir()
    assert complaints(lambda: load_target(tmp_path / "folder.yaml", vocabulary)) == [
        "folder.yaml:1:1: is not a file"
    ]
    os.mkfifo(tmp_path / "pipe.yaml")
    assert complaints(lambda: load_target(tmp_path / "pipe.yaml", vocabulary)) == [
        "pipe.yaml:1:1: is not a file"
    ]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("!!python/name:os.system x", "the tag 'tag:yaml.org,2002:python/name:os.system' is not"),
        ("!!python/object/apply:os.abort []", "the tag 'tag:yaml.org,2002:python/object/apply"),
        ("!mine x", "the tag '!mine' is not allowed"),
        ("!!set {a}", "the tag 'tag:yaml.org,2002:set' is not allowed"),
        ("!!binary aGk=", "the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("!!int x", "'x' is not a number"),
        ("!!bool x", "'x' is not a number"),
        ("1" * 5_000, "'" + "1" * 57 + "...' is not a number"),
        ('"\\ud800"', "contains half of a character"),
    ],
)
def test_nothing_but_plain_data_is_accepted(told_after: ToldAfter, value: str, wanted: str) -> None:
    (line,) = told_after("title: A scenario in which everything is right", f"title: {value}")
    assert line.startswith(f"2:8: title: {wanted}")


def test_a_key_that_is_no_text_is_refused(told_after: ToldAfter) -> None:
    assert told_after("title:", "? [a]\n: b\ntitle:") == ["2:3: a key must be plain text"]


def test_words_that_yaml_reads_as_switches_are_keys_like_any_other(
    told_after: ToldAfter,
) -> None:
    (line,) = told_after("title:", "on: x\ntitle:")
    assert line.startswith("2:1: on: unknown key")


def test_a_key_cannot_break_the_line_of_its_message(told_after: ToldAfter) -> None:
    (line,) = told_after("title:", '"a\\nb": x\ntitle:')
    assert line.startswith("2:1: ['a\\nb']: unknown key")


def test_an_alias_keeps_the_place_of_what_it_stands_for(told_after: ToldAfter) -> None:
    text = "{baseline: &long 5 sec, recovery: 130s, quiet: *long}"
    lines = told_after("{baseline: 5s, recovery: 130s, quiet: 2s}", text)
    assert [line.partition(" is not")[0] for line in lines] == [
        "10:22: timeline.baseline: '5 sec'",
        "10:22: timeline.quiet: '5 sec'",
    ]


def test_merged_keys_count_as_written_and_own_keys_win(load: Load, good: str) -> None:
    text = good.replace(
        "  - kill: redis\n    at: 1s\n    for: ${outage}\n",
        "  - &first {kill: redis, at: 1s, for: '${outage}'}\n  - {<<: *first, at: 19s}\n",
    )
    first, second = load(text).faults
    assert first.fault == second.fault
    assert (first.at_ns, second.at_ns) == (10**9, 19 * 10**9)


def test_a_merged_key_keeps_its_place(told_after: ToldAfter) -> None:
    lines = told_after(
        "  - kill: redis\n",
        "  - &first {kill: relay, att: 1s, for: 1s}\n  - <<: [*first, 3]\n    kill: redis\n",
    )
    valid = "valid: kill, signal, at, for, exposure, met_by; nearest: 'at'"
    assert lines == [
        f"12:26: faults[0].att: unknown key; {valid}",
        f"12:26: faults[1].att: unknown key; {valid}",
        "13:18: faults[1]['<<']: can only merge mappings",
    ]


def test_parameters_cannot_multiply_without_bound(
    load: Load, good: str, complaints: Complaints
) -> None:
    with pytest.raises(ScenarioError, match="is larger than"):
        load(good.replace("title: A", "title: " + "${outage}" * 20 + " #"), outage="x" * 100_000)
