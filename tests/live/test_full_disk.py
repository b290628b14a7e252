"""A disk of the reports without room is told in one line, and keeps no fault in."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from gameday.cleanup.labels import labelled_processes

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_RUN_LIMIT_S = 90
_TOLD = "the disk of the reports is full"
_SCENARIO = """
scenario: filled
title: Reports on a disk that fills up
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 90%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - pause: redis
    for: 2s
expect:
  - lost: "== 0"
"""


@pytest.fixture
def reports(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A folder on a disk of 16 MB."""
    if os.geteuid() != 0:
        missing("the right to mount a disk")
    folder = tmp_path / "reports"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def process(launch: Launch, tmp_path: Path, reports: Path) -> "subprocess.Popen[str]":
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "filled.yaml").write_text(_SCENARIO)
    if "before" in str(tmp_path):
        fill(reports)
    return launch(tmp_path, ["--scenario=filled", "--gameday-runtime=process"])


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            return


def test_before_a_run_it_is_refused_and_nothing_is_started(
    process: "subprocess.Popen[str]", reports: Path
) -> None:
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert "its disk is full" in output
    assert "--gameday-reports" in output
    assert "Traceback" not in output
    assert [path.name for path in reports.iterdir()] == ["filler"]


def test_in_the_middle_of_a_run_it_is_healed_cleaned_up_and_told(
    process: "subprocess.Popen[str]", reports: Path
) -> None:
    give_up = time.monotonic() + _RUN_LIMIT_S
    while not any("EffectProven" in path.read_text() for path in reports.glob("*/journal.jsonl")):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    (journal,) = reports.glob("*/journal.jsonl")
    run = journal.read_text().partition(", run ")[2][:8]
    fill(reports)
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)

    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert _TOLD in output
    assert "Traceback" not in output
    assert not list(labelled_processes(run))
