"""gameday as its users have it: as commands. Nothing here imports a module of it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

LIMIT_S = 60
_WIDTH = "200"
"""So wide that argparse breaks no line."""


class Run(Protocol):
    """Runs `python` with these arguments, and with `more` variables."""

    def __call__(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Run `python` in an empty project."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ours = ("PYTEST_", "COVERAGE_", "COV_", "GAMEDAY_")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(ours)}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**environ, "COLUMNS": _WIDTH, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    return run
