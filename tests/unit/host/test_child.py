"""What a process of our own writes to its log is bounded, and its end is told in one line."""

import io
import sys
from pathlib import Path

import pytest

from gameday.errors import InternalError
from gameday.host.child import Child, cap_stderr
from gameday.model.clock import SECOND


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


def test_the_end_of_a_process_is_one_line_without_the_frames_of_its_traceback(
    tmp_path: Path,
) -> None:
    raising = "import errno; raise OSError(errno.ENOSPC, 'No space left on device')"
    child = Child("the meter", ["-c", raising], tmp_path / "log")
    with pytest.raises(InternalError) as raised:
        child.hear(20 * SECOND)
    child.kill()
    told = str(raised.value)
    assert told.endswith("log: OSError: [Errno 28] No space left on device")
    assert "\n" not in told
