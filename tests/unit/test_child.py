"""What a process of our own writes to its log is bounded."""

import io
import sys

import pytest

from gameday.child import cap_stderr


def test_what_is_beyond_the_cap_is_dropped_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    cap_stderr(10)
    for _ in range(1000):
        sys.stderr.write("0123456")
    sys.stderr.flush()
    assert written.getvalue() == "0123456012\ngameday: this log has reached its cap\n"
