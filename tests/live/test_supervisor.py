"""What heals when the harness cannot: the janitor, `gameday reap` and `stop`, the next start."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NoReturn

import psutil
import pytest

from gameday.api.mechanism import trial
from gameday.cleanup.labels import (
    OWNER_LABEL,
    RUN_LABEL,
    cgroup_name,
    labelled,
    labelled_processes,
    make_folder,
    supervisors,
)
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.cleanup.supervisor import SupervisorProcess
from gameday.errors import InternalError
from gameday.host.cgroup import cgroups_named
from gameday.model.clock import SECOND
from gameday.runtimes.mechanisms.cgroups import CPU

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_RUN = token_hex(4)
"""Of this process alone: others may run the same tests beside it."""
_LIMIT_S = 15


@pytest.fixture
def orphan() -> Iterator["subprocess.Popen[bytes]"]:
    """A frozen process with the marks of a run: SIGTERM would not end it."""
    with labelled(_RUN):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    while not labelled_processes(_RUN):  # a program that is just being started has no environment
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[SupervisorProcess]:
    made = SupervisorProcess(_RUN, in_docker=False, log=tmp_path / "janitor.log")
    made.start()
    yield made
    made.abandon()


def ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_dismissed_janitor_touches_nothing(
    supervisor: SupervisorProcess, orphan: "subprocess.Popen[bytes]"
) -> None:
    supervisor.dismiss()
    assert orphan.poll() is None


def test_an_abandoned_janitor_removes_all_that_carries_the_marks(
    supervisor: SupervisorProcess, orphan: "subprocess.Popen[bytes]"
) -> None:
    supervisor.abandon()
    assert ended(orphan)
    assert leftovers_of(_RUN, in_docker=False) == ()


def test_a_fault_that_outlives_its_time_is_healed(
    supervisor: SupervisorProcess, orphan: "subprocess.Popen[bytes]"
) -> None:
    supervisor.fault_until(0, time.monotonic_ns() + SECOND // 5)
    assert ended(orphan)


def test_a_fault_that_was_healed_in_time_is_forgotten(
    supervisor: SupervisorProcess, orphan: "subprocess.Popen[bytes]"
) -> None:
    supervisor.fault_until(0, time.monotonic_ns() + SECOND // 2)
    supervisor.healed(0)
    time.sleep(1)
    assert orphan.poll() is None


def test_without_its_janitor_no_fault_is_leased(supervisor: SupervisorProcess) -> None:
    mine = supervisors_of(psutil.Process())
    for process in mine:
        process.kill()
    psutil.wait_procs(mine, timeout=5)
    with pytest.raises(InternalError, match="janitor"):
        supervisor.fault_until(0, time.monotonic_ns())


def test_reaping_twice_is_harmless(orphan: "subprocess.Popen[bytes]") -> None:
    assert reap(_RUN, in_docker=False) != ()
    assert reap(_RUN, in_docker=False) == ()


def test_a_user_who_works_in_a_folder_of_the_run_is_spared(
    supervisor: SupervisorProcess, orphan: "subprocess.Popen[bytes]"
) -> None:
    folder = make_folder(_RUN)
    user = subprocess.Popen(["sleep", "60"], cwd=folder)
    try:
        supervisor.abandon()
        assert ended(orphan)
        assert user.poll() is None
        assert not folder.exists()
    finally:
        user.kill()
        user.wait()


def start_and_kill_with_its_janitor(launch: Launch, folder: Path, runtime: str) -> str:
    """Kill a run and its janitor at once, while its services are up; give back its id."""
    process = launch(folder, ["--scenario=redis-restart", f"--gameday-runtime={runtime}"])
    journal = wait_for_services(folder)
    run = journal.read_text().partition(", run ")[2][:8]
    harness = psutil.Process(process.pid)
    (supervisor,) = supervisors_of(harness)
    supervisor.kill()
    process.kill()
    process.communicate()
    return run


def supervisors_of(harness: psutil.Process) -> list[psutil.Process]:
    """Give back its living children that heal from outside; others come and go meanwhile."""
    found = []
    for child in harness.children():
        with suppress(psutil.NoSuchProcess):
            if "gameday.cleanup.supervisor" in child.cmdline():
                found.append(child)
    return found


def wait_for_services(folder: Path) -> Path:
    return wait_for_lines(folder, "ServiceUp", 2)


def wait_for_lines(folder: Path, what: str, number: int) -> Path:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        for journal in folder.glob("reports/*/journal.jsonl"):
            if journal.read_text().count(what) >= number:
                return journal
        time.sleep(0.01)
    pytest.fail(f"not {number} times {what}")


def gameday(*arguments: str) -> str:
    done = gameday_ended(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def gameday_ended(
    *arguments: str, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gameday", *arguments]
    environ = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)


@pytest.mark.alone
def test_reap_removes_what_a_killed_run_and_its_killed_janitor_left(
    launch: Launch, tmp_path: Path, runtime: str
) -> None:
    run = start_and_kill_with_its_janitor(launch, tmp_path, runtime)
    in_docker = runtime == "docker"
    assert leftovers_of(run, in_docker=in_docker) != ()
    assert run in gameday("reap")
    assert leftovers_of(run, in_docker=in_docker) == ()


@pytest.mark.alone
@pytest.mark.sample("process")
def test_the_next_start_removes_what_is_left(launch: Launch, tmp_path: Path, runtime: str) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    run = start_and_kill_with_its_janitor(launch, tmp_path / "first", runtime)
    process = launch(
        tmp_path / "second", ["--scenario=redis-restart", f"--gameday-runtime={runtime}"]
    )
    journal = wait_for_services(tmp_path / "second")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=_LIMIT_S)
    assert f"run {run} was abandoned" in journal.read_text()
    assert leftovers_of(run, in_docker=runtime == "docker") == ()


def test_stop_ends_a_run_that_goes_on(launch: Launch, tmp_path: Path, runtime: str) -> None:
    process = launch(tmp_path, ["--scenario=redis-restart", f"--gameday-runtime={runtime}"])
    journal = wait_for_services(tmp_path)
    began = time.monotonic()
    run = journal.read_text().partition(", run ")[2][:8]
    assert "stopped" in gameday("stop", "--run", run)
    assert time.monotonic() - began < _LIMIT_S
    process.communicate(timeout=_LIMIT_S)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "nothing is left" in json.loads(journal.read_text().splitlines()[-1])["text"]


_BOUND = """
scenario: bound
title: A service within limits of the run's own
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 50/s}
steady: {success: ">= 90%", p99: "<= 500ms", for: 500ms}
timeline: {baseline: 500ms, recovery: 20s, quiet: 500ms}
faults:
  - cpu-limit: redis
    cores: 0.2
    for: 30s
  - pids-limit: redis
    free: 30
    for: 30s
expect:
  - recovery: "<= 10s"
"""


@pytest.mark.alone
@pytest.mark.sample("harness-and-janitor")
@pytest.mark.parametrize("janitor_too", [False, True], ids=["harness", "harness-and-janitor"])
def test_control_groups_go_with_the_run_that_was_killed_within_them(
    launch: Launch, tmp_path: Path, janitor_too: bool
) -> None:
    if not trial(CPU).works:
        pytest.skip(f"{CPU.name}: {trial(CPU).seen}")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "bound.yaml").write_text(_BOUND)
    process = launch(tmp_path, ["--scenario=bound", "--gameday-runtime=process"])
    journal = wait_for_lines(tmp_path, "EffectProven", 2)
    run = journal.read_text().partition(", run ")[2][:8]
    groups = list(cgroups_named(cgroup_name(run)))
    assert len(groups) >= 2, "one for processor time, one for processes"
    if janitor_too:
        harness = psutil.Process(process.pid)
        for child in supervisors_of(harness):
            child.kill()
    process.kill()
    process.communicate()
    if janitor_too:
        assert f"control group {groups[0]}" in leftovers_of(run, in_docker=False)
        assert run in gameday("reap")
    give_up = time.monotonic() + _LIMIT_S
    while leftovers_of(run, in_docker=False) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert leftovers_of(run, in_docker=False) == ()
    assert not any(group.exists() for group in groups)


@pytest.fixture
def dead() -> str:
    """The owner that a harness was which has ended."""
    told = "from gameday.cleanup.owner import this_owner; print(this_owner())"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def run(docker_engine: "docker.DockerClient") -> Iterator[str]:
    """The id of a run of which the engine holds nothing in the end."""
    made = token_hex(4)
    yield made
    reap(made, in_docker=True)


@pytest.fixture
def stranger(
    docker_engine: "docker.DockerClient", docker_image: Callable[[str], str]
) -> "Iterator[Container]":
    """A container that is nobody's of gameday."""
    made = docker_engine.containers.run(
        docker_image("redis:7.0-bookworm"), ["60"], entrypoint=["sleep"], detach=True
    )
    yield made
    made.remove(force=True, v=True)


def labels(run: str, owner: str) -> dict[str, str]:
    return {RUN_LABEL: run, OWNER_LABEL: owner}


@pytest.mark.alone
def test_a_network_goes_although_a_stranger_is_attached_to_it(
    docker_engine: "docker.DockerClient",
    stranger: "Container",
    run: str,
    dead: str,
) -> None:
    network = docker_engine.networks.create(f"gameday-{run}", labels=labels(run, dead))
    network.connect(stranger)
    told = gameday("reap")
    assert f"removed network gameday-{run} (disconnected from {stranger.name})" in told
    assert leftovers_of(run, in_docker=True) == ()
    stranger.reload()
    assert stranger.status == "running", "nothing else is done to it"


@pytest.mark.alone
def test_a_paused_container_is_thawed_killed_and_removed(
    docker_engine: "docker.DockerClient", docker_image: Callable[[str], str], run: str, dead: str
) -> None:
    frozen = docker_engine.containers.run(
        docker_image("redis:7.0-bookworm"), detach=True, labels=labels(run, dead)
    )
    frozen.pause()
    assert f"removed container {frozen.name} (thawed, killed)" in gameday("reap")
    assert leftovers_of(run, in_docker=True) == ()


@pytest.mark.alone
def test_a_container_of_an_image_that_was_committed_from_a_run_is_its_users_own(
    docker_engine: "docker.DockerClient", docker_image: Callable[[str], str], run: str, dead: str
) -> None:
    ours = docker_engine.containers.run(
        docker_image("redis:7.0-bookworm"),
        detach=True,
        labels=labels(run, dead),
        name=f"gameday-{run}-redis",
    )
    image = ours.commit(repository=f"committed-{run}")
    theirs = docker_engine.containers.run(str(image.id), ["60"], entrypoint=["sleep"], detach=True)
    try:
        assert theirs.labels["gameday.run"] == run, "the image hands it down"
        assert f"removed container gameday-{run}-redis" in gameday("reap")
        assert leftovers_of(run, in_docker=True) == ()
        theirs.reload()
        assert theirs.status == "running"
    finally:
        theirs.remove(force=True, v=True)
        docker_engine.images.remove(str(image.id), force=True)


@pytest.mark.alone
def test_a_volume_alone_is_found_and_named_while_a_stranger_holds_it(
    docker_engine: "docker.DockerClient", docker_image: Callable[[str], str], run: str, dead: str
) -> None:
    volume = docker_engine.volumes.create(f"gameday-{run}-x", labels=labels(run, dead))
    holder = docker_engine.containers.create(
        docker_image("redis:7.0-bookworm"), volumes={volume.name: {"bind": "/mnt", "mode": "rw"}}
    )
    try:
        done = gameday_ended("reap")
        assert done.returncode == 1
        assert f"{run}: left: volume {volume.name}" in done.stderr
        assert "in use" in done.stderr, "why it stays"
    finally:
        holder.remove(force=True, v=True)
    assert f"removed volume {volume.name}" in gameday("reap")


@pytest.mark.alone
def test_a_failing_kind_keeps_the_others_from_nothing(
    docker_engine: "docker.DockerClient",
    run: str,
    dead: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from docker.errors import APIError

    docker_engine.volumes.create(f"gameday-{run}-x", labels=labels(run, dead))
    docker_engine.networks.create(f"gameday-{run}", labels=labels(run, dead))

    def refuse(*_: object) -> NoReturn:
        raise APIError("not now")

    monkeypatch.setattr("gameday.cleanup.docker_remains._containers", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        reap(run, in_docker=True)
    assert raised.group_contains(APIError, match="not now")
    monkeypatch.undo()
    assert leftovers_of(run, in_docker=True) == ()


@pytest.mark.alone
def test_stop_kills_nobody_for_a_container_whose_owner_is_elsewhere(
    docker_engine: "docker.DockerClient", docker_image: Callable[[str], str], run: str
) -> None:
    process = subprocess.Popen(["sleep", "60"])
    theirs = f"{process.pid}@170000000@another@other-boot-id@pid:[4026539999]"
    docker_engine.containers.create(
        docker_image("redis:7.0-bookworm"), labels=labels(run, theirs), name=f"gameday-{run}-x"
    )
    try:
        done = gameday_ended("stop", "--run", run)
        assert done.returncode == 1
        assert f"gameday reap --run {run}" in done.stderr
        assert process.poll() is None
        assert leftovers_of(run, in_docker=True) != ()
    finally:
        process.kill()
        process.wait()
    assert f"removed container gameday-{run}-x" in gameday("reap", "--run", run)


def test_an_engine_that_is_there_and_silent_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        env = {"DOCKER_HOST": f"unix://{tmp_path}/s"}
        done = gameday_ended("reap", env=env)
    assert done.returncode == 1
    assert "no Docker engine answers" in done.stderr
    assert "nothing to reap" not in done.stdout


def test_stop_ends_a_run_that_has_made_nothing_yet(launch: Launch, tmp_path: Path) -> None:
    process = launch(tmp_path, ["--scenario=redis-restart", "--gameday-runtime=process"])
    give_up = time.monotonic() + 60
    while not (mine := [r for r, o in supervisors().items() if o.startswith(f"{process.pid}@")]):
        assert time.monotonic() < give_up
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    assert labelled_processes(mine[0]) == []
    stopping = subprocess.Popen(
        [sys.executable, "-m", "gameday", "stop", "--run", mine[0]],
        stdout=subprocess.PIPE,
        text=True,
    )
    while not is_asked_to_end(process.pid):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    process.send_signal(signal.SIGCONT)
    told, _ = stopping.communicate(timeout=_LIMIT_S)
    assert f"asked process {process.pid} to stop" in told
    assert told.endswith("stopped\n")
    process.communicate(timeout=_LIMIT_S)
    assert process.returncode != 0


def is_asked_to_end(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    pending = int(status.partition("ShdPnd:")[2].split()[0], 16)
    return bool(pending >> (signal.SIGTERM - 1) & 1)
