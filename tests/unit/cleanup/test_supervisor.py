"""The janitor does its work on a host where next to nothing works any more."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import pytest

from gameday.cleanup import supervisor as supervisor
from gameday.cleanup.labels import labelled, supervisors
from gameday.cleanup.owner import this_owner
from gameday.cleanup.supervisor import SupervisorProcess
from gameday.errors import InternalError

Say = Callable[[str], None]

_LIMIT_S = 15


@pytest.fixture
def run() -> str:
    return token_hex(4)


@pytest.fixture
def orphan(run: str) -> Iterator["subprocess.Popen[bytes]"]:
    with labelled(run):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


class Clock:
    """Stands still but for sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(supervisor, "time", made)
    return made


def test_a_log_that_cannot_be_written_keeps_nothing_from_being_removed(
    run: str, orphan: "subprocess.Popen[bytes]"
) -> None:
    watching = SupervisorProcess(run, in_docker=False, log=Path("/dev/full"))
    watching.start()
    watching.abandon()
    orphan.wait(_LIMIT_S)


def test_no_module_of_the_users_folder_is_imported(
    run: str,
    orphan: "subprocess.Popen[bytes]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("psutil", "json", "docker", "gameday"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is not what was meant')")
    monkeypatch.chdir(tmp_path)
    watching = SupervisorProcess(run, in_docker=False, log=tmp_path / "log")
    watching.start()
    watching.abandon()
    orphan.wait(_LIMIT_S)


def test_it_is_known_with_its_owner_as_soon_as_it_is_started(run: str, tmp_path: Path) -> None:
    watching = SupervisorProcess(run, in_docker=False, log=tmp_path / "log")
    watching.start()
    assert supervisors()[run] == this_owner()
    watching.dismiss()
    assert run not in supervisors()


def test_without_the_engine_that_it_needs_nothing_is_started(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    watching = SupervisorProcess(run, in_docker=True, log=tmp_path / "log")
    with pytest.raises(InternalError, match="no Docker engine answers"):
        watching.start()
    assert run not in supervisors()


def test_what_cannot_be_removed_at_first_is_tried_again(
    run: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def clean(run: str, *, in_docker: bool, say: Say) -> list[str]:
        tries.append(clock.now_s)
        return ["left: network n"] if clock.now_s < 20 else []

    monkeypatch.setattr(supervisor, "force_clean", clean)
    supervisor._act(run, in_docker=True, why="a test")
    assert tries[:3] == [0, 0.5, 2.0]
    assert 20 <= tries[-1] < 30


def test_it_looks_again_although_nothing_is_left(
    run: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def clean(run: str, *, in_docker: bool, say: Say) -> list[str]:
        tries.append(clock.now_s)
        return []

    monkeypatch.setattr(supervisor, "force_clean", clean)
    supervisor._act(run, in_docker=True, why="a test")
    assert tries == [0, 0.5, 2.0]


def test_it_gives_up_after_a_minute_and_names_what_is_left(
    run: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(supervisor, "force_clean", lambda *_, **__: ["left: network n"])
    monkeypatch.setattr(supervisor, "_say", said.append)
    supervisor._act(run, in_docker=True, why="a test")
    assert 60 <= clock.now_s < 70
    assert said[-1] == "given up: left: network n"


def test_an_abandoned_janitor_is_given_the_time_that_it_may_need() -> None:
    assert supervisor._ACT_LIMIT_NS > supervisor._TRY_FOR_S * 1e9


@pytest.fixture
def watching(run: str, tmp_path: Path) -> Iterator[SupervisorProcess]:
    """A janitor that is to leave a result, and has been told how far the run is."""
    made = SupervisorProcess(run, in_docker=False, log=tmp_path / "log")
    made.start()
    made.leave_result(tmp_path / "result.json", '{"verdict": "ERROR", "reason": "", "clean": []}')
    made.enter("baseline")
    made.enter("recover")
    yield made
    with suppress(InternalError):  # the test has ended it
        made.dismiss()


def test_a_harness_that_dies_leaves_a_result_that_says_so(
    watching: SupervisorProcess, tmp_path: Path
) -> None:
    watching.abandon()
    assert json.loads((tmp_path / "result.json").read_text()) == {
        "verdict": "ERROR",
        "reason": "the harness is gone: it ended during recover; the janitor removed the run.",
        "clean": [],
    }


def test_the_result_of_the_harness_itself_stays(
    watching: SupervisorProcess, tmp_path: Path
) -> None:
    (tmp_path / "result.json").write_text("{}")
    watching.abandon()
    assert (tmp_path / "result.json").read_text() == "{}"


def test_a_dismissed_janitor_leaves_no_result(watching: SupervisorProcess, tmp_path: Path) -> None:
    watching.dismiss()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
