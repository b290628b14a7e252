"""Which process of a service dies first, and what bounds it without control groups."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gameday.api.bounds import Resource
from gameday.errors import EnvironmentRefused
from gameday.host import process_tree
from gameday.runtimes.process import bounds as process_bounds
from gameday.runtimes.process.bounds import ProcessBounds


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


@pytest.fixture
def groupless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_bounds, "may_have_cgroups", lambda _: False)


@pytest.mark.usefixtures("groupless")
@pytest.mark.parametrize("resource", ["memory", "pids"])
def test_without_control_groups_a_limit_is_refused(
    bounds: ProcessBounds, resource: Resource
) -> None:
    with pytest.raises(EnvironmentRefused, match=f"^db: no control group for {resource} can be"):
        bounds.of(resource)


@pytest.mark.usefixtures("groupless")
def test_without_control_groups_a_disk_is_not_throttled(
    bounds: ProcessBounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_bounds, "device_of", lambda *_: "1:0")
    with pytest.raises(EnvironmentRefused, match=r"^db: no control group for io can be"):
        bounds.disk()


@pytest.mark.usefixtures("groupless")
def test_without_control_groups_processor_time_is_shared_by_a_duty_cycle(
    bounds: ProcessBounds,
) -> None:
    assert bounds.of("cpu").mechanism == "duty cycle"
