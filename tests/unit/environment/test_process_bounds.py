"""Who is chosen to die first is so until that is taken back, and then what it was before."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gameday.environment import process_tree
from gameday.environment.process_bounds import ProcessBounds


@pytest.fixture
def main() -> Iterator[psutil.Process]:
    """A shell that makes a child for each line that it reads."""
    script = "while read line; do sleep 60 & done"
    with subprocess.Popen(
        ["sh", "-c", script], start_new_session=True, stdin=subprocess.PIPE
    ) as shell:
        found = psutil.Process(shell.pid)
        fork(found, shell)
        score_file(found).write_text("300")
        yield found
        process_tree.send(process_tree.of_main(found), signal.SIGKILL)


def fork(main: psutil.Process, shell: "subprocess.Popen[bytes]") -> None:
    assert shell.stdin is not None
    before = len(process_tree.of_main(main))
    shell.stdin.write(b"\n")
    shell.stdin.flush()
    give_up = time.monotonic() + 5
    while len(process_tree.of_main(main)) == before:
        assert time.monotonic() < give_up
        time.sleep(0.005)


def score_file(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/oom_score_adj")


def scores(main: psutil.Process) -> list[int]:
    return [int(score_file(process).read_text()) for process in process_tree.of_main(main)]


@pytest.fixture
def bounds(main: psutil.Process) -> ProcessBounds:
    return ProcessBounds("db", lambda: process_tree.of_main(main), folder=Path(), env={})


def test_each_process_of_a_service_gets_back_the_score_that_it_had(
    main: psutil.Process, bounds: ProcessBounds
) -> None:
    before = scores(main)
    assert before[0] == 300
    assert before[1] != 300, "the child is older than that score"
    bounds.first_to_die(True)
    bounds.first_to_die(True)
    assert scores(main) == [1000, 1000]
    bounds.first_to_die(False)
    bounds.first_to_die(False)
    assert scores(main) == before
