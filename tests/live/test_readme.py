"""The two commands at the top of README.md work as written in a bare container.

One image has nothing but Python; the other is Debian 13, with a later Python and later servers.
"""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import docker
import pytest

pytestmark = pytest.mark.live

_LIVE = Path(__file__).parent
_ROOT = _LIVE.parents[1]
_ONLY_PYTHON = "python:3.11-slim-bookworm"
_DEBIAN_13 = "gameday-debian:trixie"
_CHECKOUT = "/checkout-of-gameday"
_BLOCK = re.compile(r"^```sh\n(.+)\n```$", re.MULTILINE)
_ABSENT = ("redis-server", "toxiproxy-server", "docker")
_FAILED = re.compile(
    r"^=+ (?:FAILURES|ERRORS) =+$.*?^=+ [^\n]*(?:failed|error)[^\n]*=+$", re.MULTILINE | re.DOTALL
)
_SHORT = ("test_every_fault.py", "test_shared_memory.py", "test_workload.py")
_VERDICT_LINES = 40
_TRIES = 3
_RUN_LIMIT_S = 15 * 60
_TESTS_LIMIT_S = 45 * 60

Shell = Callable[[str, int], tuple[int, str]]
"""Runs a line with a limit in seconds; gives back its exit status and what it printed."""


@pytest.fixture
def pristine(
    docker_engine: docker.DockerClient,
    docker_image: Callable[[str], str],
    missing: Callable[[str], NoReturn],
) -> Shell:
    """A shell in a container that has Python, a clone of the project, and nothing else."""
    run = _shell(docker_engine, docker_image(_ONLY_PYTHON), _clone(missing))
    for program in _ABSENT:
        status, _ = run(f"command -v {program}", 60)
        assert status != 0, f"{program} is in {_ONLY_PYTHON}, which is meant to lack it"
    return run


@pytest.fixture
def debian_13(
    docker_engine: docker.DockerClient,
    docker_image: Callable[[str], str],
    missing: Callable[[str], NoReturn],
) -> Shell:
    """A shell in a container of Debian 13 that has its servers and a clone of the project."""
    return _shell(docker_engine, docker_image(_DEBIAN_13), _clone(missing), may_mount=True)


def _shell(
    engine: docker.DockerClient, image: str, clone: bytes, *, may_mount: bool = False
) -> Shell:
    """Return what runs each line in a container of its own; a service's `disk:` is mounted."""

    def run(line: str, limit_s: int) -> tuple[int, str]:
        container = engine.containers.create(
            image,
            ["sh", "-c", line],
            working_dir=_CHECKOUT,
            environment={"TERM": "dumb"},
            cap_add=["SYS_ADMIN"] if may_mount else [],
            security_opt=["apparmor=unconfined"] if may_mount else [],
        )
        try:
            container.put_archive(_CHECKOUT, clone)
            container.start()
            status = container.wait(timeout=limit_s)["StatusCode"]
            return status, container.logs().decode(errors="replace")
        finally:
            container.remove(force=True, v=True)

    return run


@pytest.mark.alone
def test_the_first_command_ends_with_a_verdict(pristine: Shell) -> None:
    _ends_with_pass(pristine, _command(1))


def test_the_second_command_works_where_there_is_only_python(pristine: Shell) -> None:
    """Less than the whole: the packaging tests, and of each kind of live tests a short one."""
    others = [str(file) for file in _LIVE.rglob("test_*.py") if file.name not in _SHORT]
    others.append(f"{_LIVE}/faults/test_every_fault.py::test_every_fault")
    others.append(f"{_LIVE}/test_workload.py::test_a_known_pause")  # it wants a quiet host
    deselected = " ".join(f"--deselect={Path(one).relative_to(_ROOT)}" for one in sorted(others))
    settings = f"TOXENV=packaging-live PYTEST_ADDOPTS='{deselected}'"
    status, output = pristine(f"export {settings}; {_command(2)}", _TESTS_LIMIT_S)
    assert status == 0, _what_failed(output)
    assert "packaging-live: OK" in output


@pytest.mark.alone
@pytest.mark.full
def test_the_second_command_runs_the_gate_as_it_stands(pristine: Shell) -> None:
    status, output = pristine(_command(2), _TESTS_LIMIT_S)
    assert status == 0, _what_failed(output)


@pytest.mark.alone
@pytest.mark.full
def test_the_first_command_ends_with_a_verdict_on_debian_13(debian_13: Shell) -> None:
    output = _ends_with_pass(debian_13, f"{_command(1)} --gameday-runtime=process")
    assert " Python 3.13." in output


@pytest.mark.alone
@pytest.mark.full
def test_the_unit_and_plugin_tests_pass_on_debian_13(debian_13: Shell) -> None:
    status, output = debian_13(f"export TOXENV=unit-plugin; {_command(2)}", _TESTS_LIMIT_S)
    assert status == 0, _what_failed(output)
    assert output.count(" Python 3.13.") == len(("unit", "plugin"))


@pytest.mark.alone
@pytest.mark.full
def test_every_fault_is_proven_with_the_servers_of_debian_13(debian_13: Shell) -> None:
    """But for the limits that a container cannot set, and a short test of those that run alone."""
    chosen = "(every_fault and process and not resources) or every_operation_that_was_received"
    settings = f"CI=true TOXENV=live PYTEST_ADDOPTS=\"-k '{chosen}'\""
    status, output = debian_13(f"export {settings}; {_command(2)}", _TESTS_LIMIT_S)
    assert status == 0, _what_failed(output)
    assert "live: OK" in output


def _ends_with_pass(run: Shell, line: str) -> str:
    """Run a line that runs a scenario; return what it printed."""
    for _ in range(_TRIES):
        status, output = run(line, _RUN_LIMIT_S)
        # A host that stalled meanwhile cannot tell, and says so.
        if status == 0 or not re.search(r"^INCONCLUSIVE .* host", output, re.MULTILINE):
            break
    assert status == 0, output
    assert re.search(r"\bPASS\b", "\n".join(output.splitlines()[-_VERDICT_LINES:])), output
    return output


def _what_failed(output: str) -> str:
    """Return what the runs of pytest say of failures, and how it ended: the whole is too long."""
    end = "\n".join(output.splitlines()[-_VERDICT_LINES:])
    return "\n".join([*_FAILED.findall(output), end])


def _command(number: int) -> str:
    """Return the only line of a block of README.md, counted from 1."""
    lines: list[str] = _BLOCK.findall((_ROOT / "README.md").read_text())
    assert len(lines) >= number, f"README.md has {len(lines)} sh blocks of one line"
    return lines[number - 1]


def _clone(missing: Callable[[str], NoReturn]) -> bytes:
    """Return an archive of the files that git tracks, as they are now."""
    if shutil.which("git") is None or not (_ROOT / ".git").exists():
        missing("git checkout")
    list_files = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(list_files, cwd=_ROOT, check=True, capture_output=True, timeout=60)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in listed.stdout.decode().rstrip("\0").split("\0"):
            if (_ROOT / name).exists():
                archive.add(_ROOT / name, arcname=name)
    return buffer.getvalue()
