"""The lowest version of every declared dependency works: what `pip` may leave in place, runs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

_ROOT = Path(__file__).parents[2]
_INSTALL_LIMIT_S = 300
_RUN_LIMIT_S = 120
_UNIT_LIMIT_S = 300
_TRIES = 3
_TOOLS = ("hypothesis>=6.100", "pytest-xdist>=3.6")
_CHEAP = (
    "tests/unit/loading",
    "tests/unit/engine/test_planning.py",
    "tests/unit/report/test_allure.py",
    "tests/unit/host/test_docker_engine.py",
    "tests/unit/host/test_docker_presence.py",
)
"""What meets most of the libraries: pydantic, PyYAML, rich, pytest, allure-pytest, docker."""

Run = Callable[[list[str], Path, int], tuple[int, str]]
"""Runs pytest with these arguments in a folder; gives back its exit status and output."""


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str], NoReturn]) -> Run:
    """The pytest of an environment that has gameday's wheel and the lowest versions it allows."""
    if find_spec("uv") is None:
        missing("uv, which resolves to the lowest versions")
    uv = [sys.executable, "-m", "uv"]
    python = tmp_path_factory.mktemp("lowest") / "venv" / "bin" / "python"
    ours = ("PYTEST_", "COVERAGE_", "COV_", "PIP_CONSTRAINT", "VIRTUAL_ENV")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    into = ["pip", "install", "--quiet", "--python", str(python)]
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(python.parents[1])],
        [*into, "--resolution=lowest-direct", "--refresh-package=pytest-gameday", f"{_ROOT}[all]"],
        [*into, *_TOOLS],
    ):
        done = subprocess.run(
            [*uv, *command],
            env=environ,
            capture_output=True,
            text=True,
            timeout=_INSTALL_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def run(arguments: list[str], folder: Path, limit_s: int) -> tuple[int, str]:
        done = subprocess.run(
            [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_pytest_itself_starts_where_no_scenario_is_asked_for(lowest: Run, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    status, output = lowest([], tmp_path, _RUN_LIMIT_S)
    assert status == 0, output
    assert "pytest-8.2." in output, "the lowest pytest that pyproject.toml allows"


def test_a_scenario_passes(lowest: Run, tmp_path: Path, runtime: str) -> None:
    arguments = ["--scenario=redis-restart", f"--gameday-runtime={runtime}"]
    for _ in range(_TRIES):
        status, output = lowest(arguments, tmp_path, _RUN_LIMIT_S)
        # A host that stalled meanwhile cannot tell, and says so.
        if status == 0 or not re.search(r"^INCONCLUSIVE .* host", output, re.MULTILINE):
            break
    assert status == 0, output
    assert re.search(r"^PASS ", output, re.MULTILINE), output


def test_the_unit_tests_that_meet_the_libraries_pass(lowest: Run) -> None:
    status, output = lowest(["-q", "-n2", "--import-mode=importlib", *_CHEAP], _ROOT, _UNIT_LIMIT_S)
    assert status == 0, output
