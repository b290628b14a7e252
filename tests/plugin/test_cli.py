"""What a user of the command `gameday` meets, whatever becomes of its output."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 60
COMMAND = [sys.executable, "-m", "gameday"]
OWN = """
scenario: mine
title: A scenario of my own
target: signals
tags: [own]
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
faults:
  - kill: redis
    for: 1s
expect:
  - recovery: "<= 8s"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A project with one scenario of its own, of which nothing above it knows."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mine.yaml").write_text(OWN)
    return tmp_path


def run(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def in_shell(here: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command, "sh", *COMMAND],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_a_scenario_that_is_broken_hides_no_other(here: Path) -> None:
    (here / "scenarios" / "broken.yaml").write_text("scenario: [")
    done = run(here, "list")
    assert "mine                     A scenario of my own  [own]" in done.stdout.splitlines()
    assert "redis-restart" in done.stdout
    assert "broken.yaml:1:12: is not YAML" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 1


def test_all_is_well_where_every_scenario_can_be_read(here: Path) -> None:
    done = run(here, "list")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("settings", ["", "addopts = --nobody-knows-this --scenario=mine\n"])
def test_scenarios_are_looked_for_where_pytest_is_told_to(here: Path, settings: str) -> None:
    (here / "scenarios").rename(here / "elsewhere")
    (here / "conftest.py").write_text("raise SystemExit('a conftest was run')")
    assert run(here, "validate", "mine").returncode == 2
    (here / "pytest.ini").write_text(f"[pytest]\n{settings}gameday_scenarios = elsewhere\n")
    done = run(here, "validate", "mine")
    assert (done.stdout, done.stderr, done.returncode) == (
        f"{here}/elsewhere/mine.yaml: valid\n",
        "",
        0,
    )


def test_settings_that_pytest_cannot_read_are_told_in_its_words(here: Path) -> None:
    (here / "pytest.ini").write_text("[pytest\n")
    done = run(here, "list")
    assert "pytest.ini:1:" in done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("arguments", [(), ("dance",), ("list", "--loudly"), ("validate", "mien")])
def test_what_is_asked_wrongly_ends_with_2(here: Path, arguments: tuple[str, ...]) -> None:
    done = run(here, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_scenario_that_is_not_right_ends_with_1(here: Path) -> None:
    (here / "scenarios" / "mine.yaml").write_text(OWN.replace("kill:", "kil:"))
    done = run(here, "validate", "mine", "redis-restart")
    assert "nearest: 'kill'" in done.stderr
    assert done.stdout.endswith("redis-restart.yaml: valid\n")
    assert done.returncode == 1


def test_nothing_is_said_where_the_reader_has_left(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:  # noqa: PTH123 - a descriptor
        done = subprocess.run(
            [*COMMAND, "schema"],
            cwd=here,
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=LIMIT_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("command", "where", "said"),
    [
        ("list", ">/dev/full", "gameday: output: No space left on device\n"),
        ("schema", ">/dev/full", "gameday: output: No space left on device\n"),
        ("list", ">&-", "gameday: standard output: Bad file descriptor\n"),
        ("--help", ">&-", "gameday: standard output: Bad file descriptor\n"),
    ],
)
def test_output_that_cannot_be_written_is_one_line(
    here: Path, command: str, where: str, said: str
) -> None:
    done = in_shell(here, f'"$@" {command} {where}')
    assert (done.returncode, done.stderr) == (1, said)


def test_ctrl_c_is_no_traceback(here: Path) -> None:
    telling = subprocess.Popen(
        [*COMMAND, "schema"],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # pytest itself may have been started where Ctrl-C is ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert telling.stdout is not None
    fcntl.fcntl(telling.stdout, fcntl.F_SETPIPE_SZ, 4096)
    assert os.read(telling.stdout.fileno(), 1) == b"{"  # from now on it waits for who reads
    telling.send_signal(signal.SIGINT)
    _, said = telling.communicate(timeout=LIMIT_S)
    assert (telling.returncode, said) == (130, b"")
