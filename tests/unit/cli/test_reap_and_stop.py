"""`gameday reap` and `gameday stop` touch what is surely theirs, and say what they leave."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gameday import cli
from gameday.cleanup import labels as marks
from gameday.cleanup import owner
from gameday.cleanup.owner import is_dead, this_owner
from gameday.errors import EnvironmentRefused

Say = Callable[[str], None]

_RUN, _OTHER = "0badcafe", "1badcafe"
_DEAD = "dead"


class Host:
    """What there is of runs, and what was removed of it."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.supervisors: dict[str, str] = {}
        self.left: dict[str, list[str]] = {}
        self.cleaned: list[str] = []

    def force_clean(self, run: str, *, in_docker: bool, say: Say) -> list[str]:
        self.cleaned.append(run)
        say("removed all")
        if not self.left.get(run):
            self.owners.pop(run, None)
        return self.left.get(run, [])


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(cli, "owners", lambda in_docker: dict(made.owners))
    monkeypatch.setattr(cli, "supervisors", lambda: dict(made.supervisors))
    monkeypatch.setattr(cli, "force_clean", made.force_clean)
    monkeypatch.setattr(cli, "is_dead", lambda owner: owner == _DEAD or is_dead(owner))
    monkeypatch.setattr(cli, "engine_problem", lambda limit_s: None)
    monkeypatch.setattr(cli, "_STOP_LIMIT_S", 0.5)
    return made


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def of(pid: int, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: pid)
        return this_owner()


def elsewhere(pid: int) -> str:
    return f"{pid}@170000000@another@other-boot-id@pid:[4026539999]"


def test_stop_signals_no_process_for_an_owner_elsewhere(
    host: Host, sleeper: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    host.owners = {_RUN: elsewhere(sleeper.pid)}
    assert cli.main(["stop", "--run", _RUN]) == 1
    assert sleeper.poll() is None
    assert host.cleaned == []
    told = capsys.readouterr()
    assert f"gameday reap --run {_RUN}" in told.err
    assert "stopped" not in told.out


def test_stop_signals_no_other_process_of_the_owners_number(
    host: Host, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, started, place = of(sleeper.pid, monkeypatch).split("@", 2)
    host.owners = {_RUN: f"{pid}@{int(started) - 1}@{place}"}
    assert cli.main(["stop"]) == 0
    assert sleeper.poll() is None
    assert host.cleaned == [_RUN], "its own owner is dead"


def test_stop_asks_the_owner_and_waits_for_it(
    host: Host,
    sleeper: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host.owners = {_RUN: of(sleeper.pid, monkeypatch)}
    assert cli.main(["stop"]) == 0
    assert sleeper.wait(5) == -15
    assert "stopped" in capsys.readouterr().out


def test_stop_sees_a_run_that_has_only_its_janitor(
    host: Host, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    host.supervisors = {_RUN: of(sleeper.pid, monkeypatch)}
    assert cli.main(["stop", "--run", _RUN]) == 0
    assert sleeper.wait(5) == -15


def test_stop_touches_only_the_run_that_was_named(host: Host) -> None:
    host.owners = {_RUN: _DEAD, _OTHER: _DEAD}
    assert cli.main(["stop", "--run", _OTHER]) == 0
    assert host.cleaned == [_OTHER]


def test_stop_leaves_a_process_that_it_may_not_signal(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host.owners = {_RUN: this_owner()}
    monkeypatch.setattr(owner, "is_our_process", lambda process: False)
    assert cli.main(["stop"]) == 1
    assert host.cleaned == []
    assert f"process {os.getpid()} is another user's" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["stop", "reap"])
def test_what_is_left_is_named(
    host: Host, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host.owners = {_RUN: _DEAD, _OTHER: _DEAD}
    host.left = {_RUN: ["left: network n"]}
    assert cli.main([command]) == 1
    told = capsys.readouterr()
    assert f"{_RUN}: left: network n" in told.err
    assert "stopped" not in told.out
    assert host.cleaned == [_RUN, _OTHER], "what resists keeps no other run from its turn"


@pytest.mark.parametrize("command", ["stop", "reap"])
@pytest.mark.parametrize("text", ["*", "notes", "../0badcafe", "0badcafe*", "", "0BADCAFE"])
def test_what_is_no_runs_id_is_refused(
    host: Host, command: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.main([command, "--run", text])
    assert refused.value.code != 0
    assert "is not the id of a run" in capsys.readouterr().err
    assert host.cleaned == []


def test_reap_removes_nothing_of_a_run_that_lives_or_may_live(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.owners = {_RUN: this_owner(), _OTHER: elsewhere(1)}
    assert cli.main(["reap"]) == 0
    assert host.cleaned == []
    told = capsys.readouterr().out
    assert f"gameday reap --run {_OTHER}" in told
    assert _RUN not in told


def test_reap_removes_a_named_run_whoever_owns_it(host: Host) -> None:
    host.owners = {_RUN: elsewhere(1)}
    assert cli.main(["reap", "--run", _RUN]) == 0
    assert host.cleaned == [_RUN]


@pytest.mark.parametrize("command", ["stop", "reap"])
def test_an_engine_that_does_not_answer_is_not_taken_for_none(
    host: Host, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "engine_problem", lambda limit_s: "no Docker engine answers: slow")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert cli.main([command]) == 1
    told = capsys.readouterr()
    assert "no Docker engine answers: slow" in told.err
    assert "nothing to reap" not in told.out
    assert "nothing runs" not in told.out


@pytest.mark.parametrize(
    ("command", "said"), [("reap", "nothing to reap"), ("stop", "nothing runs")]
)
def test_a_host_without_an_engine_is_clean_without_one(
    host: Host,
    command: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "engine_problem", lambda limit_s: "no Docker engine answers: none")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    assert cli.main([command]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("command", ["stop", "reap"])
def test_an_engine_that_fails_later_keeps_nothing_else_from_its_turn(
    host: Host, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def owners(*, in_docker: bool) -> dict[str, str]:
        if in_docker:
            raise EnvironmentRefused("asking the engine: it failed")
        return dict(host.owners)

    host.owners = {_RUN: _DEAD}
    monkeypatch.setattr(cli, "owners", owners)
    assert cli.main([command]) == 1
    assert host.cleaned == [_RUN]
    assert capsys.readouterr().err.count("asking the engine: it failed") == 1


def test_a_folder_that_only_looks_alike_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(marks, "_TEMPORARY", (str(tmp_path),))
    monkeypatch.setattr(cli, "engine_problem", lambda limit_s: "none")
    monkeypatch.setattr(cli, "has_engine", lambda: False)
    alike = tmp_path / f"gameday-{_RUN}-2024"
    alike.mkdir()
    (alike / "notes.txt").write_text("mine")
    assert cli.main(["stop", "--run", _RUN]) == 0
    assert cli.main(["reap", "--run", _RUN]) == 0
    assert (alike / "notes.txt").read_text() == "mine"
