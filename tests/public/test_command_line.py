"""Options, exit codes, ini keys, markers and the fixture: what CI files and projects write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Snapshots
    from tests.public.conftest import Run

_COMMANDS = ("list", "validate", "schema", "doctor", "reap", "stop")
_SCENARIO = """
scenario: mine
title: A scenario of my own
target: signals
parameters:
  outage: {default: 1s, sweep: [500ms, 1s]}
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
faults:
  - kill: redis
    for: ${outage}
expect:
  - recovery: "<= 8s"
sabotage:
  - {disable: kill, gives: INVALID}
"""
_NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


def test_the_options_of_gameday(python: Run, snapshots: Snapshots) -> None:
    """Names and what they take; the words that explain them may be written better."""
    told = ["gameday"]
    told += entries(python("-m", "gameday", "--help").stdout)
    for command in _COMMANDS:
        told += ["", f"gameday {command}"]
        told += entries(python("-m", "gameday", command, "--help").stdout)
    told += ["", "python -m gameday.proxy"]
    told += entries(python("-m", "gameday.proxy", "--help").stdout)
    snapshots.text("options-of-gameday.txt", "\n".join(told))


def entries(text: str) -> list[str]:
    """Take from an argparse help what stands in its left column."""
    _, _, listed = text.partition("\n\n")
    found = (re.match(r" {2,4}(\S+(?: \S+)*)(?:  |$)", line) for line in listed.splitlines())
    return [f"  {each[1]}" for each in found if each]


def test_the_options_of_pytest(python: Run, snapshots: Snapshots) -> None:
    text = python("-m", "pytest", "--help").stdout
    (group,) = re.findall(r"^[^\n]*\(gameday\):\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    keys = re.findall(r"^ +(gameday_\w+ \(\w+\)):", text, re.MULTILINE)
    markers = re.findall(
        r"^@pytest\.mark\.(gameday\w*)", python("-m", "pytest", "--markers").stdout, re.MULTILINE
    )
    fixtures = re.findall(
        r"^(\S+)(?= (?:\[\S+ scope\] )?-- (?:\S*/)?gameday/(?:plugin/)?\w+\.py:)",
        python("-m", "pytest", "--fixtures").stdout,
        re.MULTILINE,
    )
    told = ["options", *entries(f"\n\n{group}"), "", "ini keys", *(f"  {key}" for key in keys)]
    told += ["", "markers", *(f"  {name}" for name in markers)]
    told += ["", "fixtures", *(f"  {name}" for name in fixtures)]
    snapshots.text("options-of-pytest.txt", "\n".join(told))


def test_exit_codes_of_gameday(python: Run, snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(_SCENARIO)
    (tmp_path / "wrong.yaml").write_text(_SCENARIO.replace("kill:", "kil:"))
    told = [
        f"{python('-m', 'gameday', *asked.split()).returncode:3}  gameday {asked}".rstrip()
        for asked in (
            "",
            "--help",
            "dance",
            "validate nobody",
            "validate mine.yaml wrong.yaml",
            "schema report",
            "reap --run everything",
        )
    ]
    snapshots.text("exit-codes-of-gameday.txt", "\n".join(told))


def test_exit_codes_of_pytest(python: Run, snapshots: Snapshots, tmp_path: Path) -> None:
    """Where no server is started; the codes of verdicts are held by the live tests."""
    (tmp_path / "mine.yaml").write_text(_SCENARIO)
    (tmp_path / "wrong.yaml").write_text(_SCENARIO.replace("kill:", "kil:"))
    (tmp_path / "test_calls.py").write_text("def test_it(gameday): gameday('nobody')\n")
    told = []
    for asked in (
        "--scenario=mine.yaml --gameday-plan --gameday-runtime=process",
        "--scenario=mine.yaml --gameday-plan --gameday-runtime=docker",
        "--scenario=mine.yaml --gameday-runtime=docker",
        "--scenario=mine.yaml --gameday-runtime=cloud",
        "--scenario=wrong.yaml",
        "test_calls.py",
    ):
        done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *asked.split(), **_NO_ENGINE)
        ends = re.findall(r"^\d+ (?:passed|failed|error)[^\n]* in ", done.stdout, re.MULTILINE)
        outcome = f"  ({ends[0].removesuffix(' in ')})" if ends else ""
        told.append(f"{done.returncode:3}  pytest {asked}{outcome}")
    snapshots.text("exit-codes-of-pytest.txt", "\n".join(told))
