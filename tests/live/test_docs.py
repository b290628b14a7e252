"""The examples of the tutorial and of the how-to guides run as they are written."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

_DOCS = Path(__file__).parents[2] / "docs"
_FILE = re.compile(r"`([\w./-]+\.(?:yaml|py|ini))`[^`\n]*\n\n```\w+\n(.*?\n)```", re.DOTALL)
_LIMIT_S = 180


def _write(page: str, folder: Path) -> None:
    """Write the files of a page, each named in the line before its block."""
    for name, content in _FILE.findall((_DOCS / page).read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _run(folder: Path, scenario: str, *options: str) -> Mapping[str, object]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--scenario={scenario}"]
    done = subprocess.run(
        [*command, "--gameday-runtime=process", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    results = sorted((folder / "reports").glob("*/result.json"))
    assert results, done.stdout
    result: Mapping[str, object] = json.loads(results[-1].read_text(encoding="utf-8"))
    return result


def _verdict_on(result: Mapping[str, object], name: str) -> object:
    expectations = result["expectations"]
    assert isinstance(expectations, list)
    return next(one["verdict"] for one in expectations if one["name"] == name)


@pytest.mark.parametrize(
    ("page", "scenario"),
    [
        ("howto/test-your-own-service.md", "db-restart"),
        ("howto/write-a-fault.md", "redis-rejects"),
    ],
)
def test_the_example_of_a_guide_proves_its_fault_and_loses_nothing(
    page: str, scenario: str, tmp_path: Path
) -> None:
    _write(page, tmp_path)
    result = _run(tmp_path, scenario)
    assert _verdict_on(result, "lost") == "PASS", result["reason"]
    assert _run(tmp_path, scenario, "--gameday-sabotage")["verdict"] == "INVALID"


def test_the_system_of_the_tutorial_loses_signals_until_it_is_repaired(tmp_path: Path) -> None:
    _write("tutorial/first-verdict.md", tmp_path)
    assert _run(tmp_path, "redis-outage")["verdict"] == "FAIL"
    target = tmp_path / "targets" / "shop" / "target.yaml"
    lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(line for line in lines if "SIGNALS_REPLAY" not in line))
    assert _verdict_on(_run(tmp_path, "redis-outage"), "lost") == "PASS"
