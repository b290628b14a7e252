"""What people meet who install gameday beside their own code."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gameday

_PYTEST = (str(Path(sys.executable).with_name("pytest")),)
_PYTHON_M_PYTEST = (sys.executable, "-m", "pytest")


def test_under_tox_these_tests_see_the_installed_wheel(root: Path) -> None:
    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("not run by tox")
    assert not Path(gameday.__file__).is_relative_to(root / "harness")


def test_the_plugin_is_registered_once() -> None:
    ours = [
        (point.name, point.value)
        for point in importlib.metadata.entry_points(group="pytest11")
        if point.value.split(".")[0] == "gameday"
    ]
    assert ours == [("gameday", "gameday.plugin")]


@pytest.mark.parametrize("start", [_PYTEST, _PYTHON_M_PYTEST], ids=["pytest", "python -m pytest"])
def test_the_bundled_scenario_can_be_planned_in_an_empty_folder(
    start: tuple[str, ...], tmp_path: Path, outside_environ: dict[str, str]
) -> None:
    done = subprocess.run(
        [*start, "--scenario=redis-restart", "--gameday-plan"],
        cwd=tmp_path,
        env=outside_environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "redis-restart" in done.stdout


@pytest.mark.parametrize("start", [_PYTEST, _PYTHON_M_PYTEST], ids=["pytest", "python -m pytest"])
def test_packages_named_as_our_folders_stay_the_users_own(
    start: tuple[str, ...], tmp_path: Path, outside_environ: dict[str, str]
) -> None:
    names = ("harness", "reports", "targets", "scenarios")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "core.py").write_text(f"OWNER = 'user of {name}'\n")
    (tmp_path / "conftest.py").touch()
    lines = [f"import {name}.core" for name in names]
    lines += ["def test_mine():"]
    lines += [f"    assert {name}.core.OWNER == 'user of {name}'" for name in names]
    (tmp_path / "test_mine.py").write_text("\n".join(lines))
    done = subprocess.run(
        [*start, "-q"],
        cwd=tmp_path,
        env=outside_environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_gameday_needs_no_other_plugin(tmp_path: Path, outside_environ: dict[str, str]) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    done = subprocess.run(
        [*_PYTEST, "-q", "-p", "gameday.plugin"],
        cwd=tmp_path,
        env=outside_environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
