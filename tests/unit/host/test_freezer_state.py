"""What was frozen all the time is told from what went on for a moment."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gameday.host.freezer_state import FrozenGroup, StoppedProcesses


@pytest.fixture
def stopped() -> Iterator[psutil.Process]:
    with subprocess.Popen(["sleep", "60"]) as process:
        child = psutil.Process(process.pid)
        stop(child)
        yield child
        process.kill()


def stop(child: psutil.Process) -> None:
    child.send_signal(signal.SIGSTOP)
    give_up = time.monotonic() + 5
    while child.status() != psutil.STATUS_STOPPED and time.monotonic() < give_up:
        time.sleep(0.005)


def test_what_stands_still_is_not_said_to_have_moved(stopped: psutil.Process) -> None:
    witness = StoppedProcesses([stopped])
    time.sleep(0.1)
    assert witness.thawed() == ""


def test_what_went_on_for_a_moment_and_was_stopped_again_has_moved(
    stopped: psutil.Process,
) -> None:
    witness = StoppedProcesses([stopped])
    stopped.send_signal(signal.SIGCONT)
    time.sleep(0.05)
    stop(stopped)
    assert witness.thawed() == f"process {stopped.pid} ran in between"


def test_what_goes_on_or_is_gone_is_told(stopped: psutil.Process) -> None:
    witness = StoppedProcesses([stopped])
    stopped.send_signal(signal.SIGCONT)
    time.sleep(0.05)
    assert witness.thawed() == f"process {stopped.pid} was not stopped any more"


@pytest.mark.parametrize(
    ("says", "thawed"),
    [("FROZEN", ""), ("1\n", ""), ("THAWED\n", "its control group was running")],
)
def test_a_freezer_is_read(tmp_path: Path, says: str, thawed: str) -> None:
    (tmp_path / "state").write_text(says)
    assert FrozenGroup(tmp_path / "state").thawed() == thawed


def test_a_freezer_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    assert FrozenGroup(tmp_path / "state").thawed() == "its control group was gone"
