"""A mechanism that does not work says in one line why not, and how to get it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.api.mechanism import Lacking, Mechanism, Trial, need, trial
from gameday.errors import EnvironmentRefused
from gameday.runtimes.mechanisms import cgroups


def tried(check: Callable[[], str]) -> Trial:
    return trial(Mechanism(name="thing", used_for="tests", cure="buy one", check=check))


def raising(error: BaseException) -> Callable[[], str]:
    def check() -> str:
        raise error

    return check


def refused_by(cause: BaseException) -> EnvironmentRefused:
    try:
        raise EnvironmentRefused(f"/a/place: {cause}") from cause
    except EnvironmentRefused as error:
        return error


def test_what_works_says_what_was_seen_and_needs_no_cure() -> None:
    assert tried(lambda: "seen") == Trial(works=True, seen="seen", cure="")


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (EnvironmentRefused("one\ntwo"), "one"),
        (EnvironmentRefused("it ended:\nstarting\nno room\n"), "it ended: no room"),
        (OSError("no such thing"), "no such thing"),
        (PermissionError(13, "Permission denied", "/a/place"), "/a/place: Permission denied"),
        (
            refused_by(PermissionError(13, "Permission denied", "/a/place")),
            "/a/place: Permission denied",
        ),
        (subprocess.TimeoutExpired("dd", 3), "Command 'dd' timed out after 3 seconds"),
        (KeyError("Version"), "does not work: KeyError('Version')"),
        (AssertionError(), "does not work: AssertionError()"),
    ],
)
def test_every_failure_is_one_line_and_has_the_mechanisms_cure(error: Exception, seen: str) -> None:
    assert tried(raising(error)) == Trial(works=False, seen=seen, cure="buy one")


def test_who_interrupts_is_heard() -> None:
    with pytest.raises(KeyboardInterrupt):
        tried(raising(KeyboardInterrupt()))


def test_a_check_may_know_a_better_cure() -> None:
    assert tried(raising(Lacking("nobody is here", "ask somebody"))) == Trial(
        works=False, seen="nobody is here", cure="ask somebody"
    )


@pytest.mark.parametrize(
    ("program", "package"), [("prlimit", "util-linux"), ("dd", "coreutils"), ("mount", "mount")]
)
def test_a_program_that_is_not_there_is_named_with_the_package_that_brings_it(
    program: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = Trial(works=False, seen=f"no {program} on PATH", cure=f"install {package}")

    def run() -> str:
        try:
            subprocess.run([program], check=True)
        except OSError as error:
            raise EnvironmentRefused(f"running something: {error}") from error
        return "ran"

    def ask() -> str:
        need(program)
        return "there"

    assert tried(run) == wanted
    assert tried(ask) == wanted


def test_a_file_that_is_not_there_is_no_program(tmp_path: Path) -> None:
    def read() -> str:
        return (tmp_path / "file").read_text()

    assert tried(read).seen == f"{tmp_path}/file: No such file or directory"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
@pytest.mark.parametrize(
    ("user", "cure"),
    [(0, "mount writable control groups"), (1000, "systemd-run --user --scope -p Delegate=yes")],
)
def test_the_cure_for_lacking_control_groups_is_docker_or_what_the_user_can_do(
    user: int, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    told = cgroups.cure()
    assert told.startswith("use --gameday-runtime=docker, or ")
    assert cure in told
