import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.errors import EnvironmentRefused, ScenarioError
from gameday.escaping import file_name, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer → 5 %: a::b", "plain, größer → 5 %: a::b"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\rb\tc", "a b c"),
        ("a\ud800b\uffff", "a\\ud800b\\uffff"),
        ("::error::boo", "\\x3a:error::boo"),
        ("  ::Warning file=a.py,line=1::boo", "  \\x3a:Warning file=a.py,line=1::boo"),
        ("log: ::add-mask::x", "log: \\x3a:add-mask::x"),
        ("::resume-token::", "\\x3a:resume-token::"),
        ("##vso[task.complete]", "\\x23#vso[task.complete]"),
        ("##[group]a ##teamcity[x]", "\\x23#[group]a \\x23#teamcity[x]"),
        ("std::vector::size, ::1, [::]", "std::vector::size, ::1, [::]"),
    ],
)
def test_what_would_act_on_its_reader_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_lines_stay_lines_unless_one_is_wanted() -> None:
    assert printable("a\n  ::error::b") == "a\n  \\x3a:error::b"
    assert one_line("a\n  ::error::\tb\x1bc") == "a \\x3a:error:: b c"


@given(st.text())
def test_nothing_that_is_shown_acts(text: str) -> None:
    for shown in (printable(text), one_line(text)):
        assert shown.replace("\n", "").isprintable()
        shown.encode()
        assert not any(line.lstrip().startswith("::error::") for line in shown.split("\n"))
    assert "\n" not in one_line(text)


@given(st.text())
def test_any_text_can_be_part_of_a_file_name(text: str) -> None:
    name = file_name(text)
    assert len(name.encode()) <= 180
    assert not set(name) & set('/\\:*?"<>|\r\n\0 ')
    assert name.isprintable()


def test_a_file_name_is_the_same_however_its_accents_are_written() -> None:
    assert file_name(unicodedata.normalize("NFD", "é=1.5s")) == "é=1.5s"


def test_every_error_is_safe_to_show() -> None:
    text = "it said \x1b[2J\n::error::gone"
    assert str(EnvironmentRefused(text)) == "it said \\x1b[2J\n\\x3a:error::gone"
    assert str(ScenarioError(text)) == "it said \\x1b[2J\n\\x3a:error::gone"


def test_no_character_that_python_calls_a_control_is_shown() -> None:
    controls = [chr(code) for code in range(sys.maxunicode + 1)]
    controls = [c for c in controls if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not set(printable("".join(controls))) & set(controls) - {"\n"}
