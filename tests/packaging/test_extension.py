"""An extension is installed beside gameday, and its scenario runs with no line of ours changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gameday

_LIMIT_S = 300
_SERVER = shutil.which("memcached")


class Installed:
    """A virtual environment with gameday and the extension, and a project beside it."""

    def __init__(self, folder: Path, project: Path, environ: dict[str, str]) -> None:
        self.python = folder / "bin" / "python"
        self.project = project
        self._environ = environ

    def run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.python, "-m", program, *arguments],
            cwd=self.project,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the extension, in which its build may leave what it likes."""
    copy = tmp_path_factory.mktemp("extension") / "memcached"
    return Path(shutil.copytree(Path(__file__).with_name("memcached"), copy))


@pytest.fixture(scope="module")
def installed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Where the extension is installed, beside all that this Python has installed already."""
    folder = tmp_path_factory.mktemp("beside")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV"))}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Of gameday what these tests see: the wheel under tox, else the checkout.
    ours = Path(gameday.__file__).parents[1]
    shown = [p for p in sys.path if p.endswith("site-packages")]
    (packages / "beside.pth").write_text("\n".join([*shown, str(ours)]))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, sources],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    shutil.unpack_archive(wheel, packages, "zip")
    return Installed(folder, sources, environ)


def test_the_command_line_shows_what_an_extension_adds(installed: Installed) -> None:
    listed = installed.run("gameday", "list")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith("cache-flush ")
    added = "gameday-memcached 1.0 adds: technology memcached, service memcached, "
    assert added in listed.stdout
    assert "fault flush-all" in listed.stdout
    schema = json.loads(installed.run("gameday", "schema").stdout)
    assert "flush-all" in json.dumps(schema)
    assert "refused_sets" in json.dumps(schema)


def test_the_doctor_tries_what_an_extension_adds(installed: Installed) -> None:
    told = json.loads(installed.run("gameday", "doctor", "--json").stdout)
    (server,) = (c for c in told["capabilities"] if c["name"] == "memcached in process")
    assert server["works"] is (_SERVER is not None), server
    uses = {(use["runtime"], use["what"]): use for use in told["uses"]}
    assert bool(uses["process", "memcached service"]["refused"]) is (_SERVER is None)
    assert ("process", "flush-all") in uses


def test_a_misspelt_verb_of_an_extension_is_told_the_nearest(installed: Installed) -> None:
    path = installed.project / "scenarios" / "cache-flush.yaml"
    wrong = installed.project / "scenarios" / "wrong.yaml"
    wrong.write_text(path.read_text().replace("- flush-all:", "- flush-al:"))
    try:
        done = installed.run("gameday", "validate", str(wrong))
    finally:
        wrong.unlink()
    assert done.returncode == 1, done.stderr
    assert "nearest: 'flush-all'" in done.stderr


@pytest.mark.skipif(_SERVER is None, reason="no memcached on PATH")
def test_the_scenario_of_an_extension_runs_and_passes(installed: Installed) -> None:
    done = installed.run("pytest", "--scenario=cache-flush", "--gameday-runtime=process")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (installed.project / "reports").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["verdict"] == "PASS"
    (fault,) = result["faults"]
    assert (fault["fault"], fault["proven"], fault["undone"]) == ("flush-all", True, True)
    assert fault["measured"]["canary_left"] is False
    assert fault["measured"]["canary_after"] is True
    (refused,) = (f for f in result["findings"] if f["name"] == "refused_sets")
    assert refused["value"] == 0
    assert (folder / "faults.txt").read_text() == "flush-all cache\n"
    assert yaml.safe_load((folder / "plan.json").read_text())["streams"][1]["client"] == (
        "memcached-set"
    )


def test_an_extension_that_is_broken_is_one_line(installed: Installed) -> None:
    folder = installed.python.parents[1]
    (entries,) = folder.glob("lib/*/site-packages/gameday_memcached-*.dist-info/entry_points.txt")
    text = entries.read_text()
    entries.write_text(text.replace("gameday_memcached:MEMCACHED", "gameday_memcached:LOST"))
    try:
        for program, arguments in (
            ("gameday", ("list",)),
            ("gameday", ("validate", "cache-flush")),
            ("gameday", ("schema",)),
            ("pytest", ("--scenario=cache-flush", "--gameday-plan")),
        ):
            done = installed.run(program, *arguments)
            assert done.returncode != 0
            (line,) = done.stderr.strip().splitlines()
            assert "gameday-memcached 1.0: its entry point memcached" in line
    finally:
        entries.write_text(text)
