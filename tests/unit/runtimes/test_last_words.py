"""The end of a log fits on one line, says the cause, and does nothing to a terminal."""

from pathlib import Path

from gameday.runtimes.last_words import last_words, last_words_in

TRACEBACK = b"""reading the configuration
Traceback (most recent call last):
  File "app.py", line 1, in <module>
    main()
    ^^^^^^
RuntimeError: DATABASE_URL is not set
"""


def test_what_was_raised_is_shown_without_the_frames() -> None:
    assert last_words("relay", TRACEBACK) == (
        "; logs/relay.log ends with: "
        "reading the configuration | RuntimeError: DATABASE_URL is not set"
    )


def test_only_the_last_lines_are_shown_and_none_is_long() -> None:
    log = b"\n".join(b"line %d " % n + b"x" * 1000 for n in range(50))
    words = last_words("a", log)
    assert "line 45" not in words
    assert "line 46" in words
    assert len(words) < 1000


def test_escapes_and_control_characters_are_taken_out() -> None:
    log = b"\x1b[31mred\x1b[0m \x1b]0;title\x07and\x08 \x1b[2Jback\r\n::error::no\n"
    words = last_words("a", log)
    assert words == "; logs/a.log ends with: red and back | \\x3a:error::no"


def test_a_log_of_indented_lines_alone_is_shown_as_it_is() -> None:
    assert last_words("a", b"  one\n  two\n") == "; logs/a.log ends with: one | two"


def test_an_empty_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    assert last_words_in(tmp_path / "a.log") == "; logs/a.log is empty"


def test_of_a_long_file_only_the_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x\n" * 100_000 + b"the cause\n")
    assert last_words_in(tmp_path / "a.log").endswith("| the cause")
