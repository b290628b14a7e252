"""When live tests run, and what a missing engine or server means for them."""

from pathlib import Path

import pytest

_LIVE = """
import pytest

pytestmark = pytest.mark.live

def test_runs(): pass

def test_lacks_something(missing): missing("a toaster")

@pytest.mark.skipif(True, reason="missing: a kettle")
def test_lacks_something_by_mark(): pass

def test_does_not_apply(): pytest.skip("not on this kernel")
"""

_SAMPLED = """
import pytest

pytestmark = pytest.mark.live

@pytest.mark.sample("kill-re", "pause")
@pytest.mark.parametrize("fault", ["kill-redis", "kill-postgres", "pause", "stop"])
def test_fault(fault): pass

@pytest.mark.full
def test_rest(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite with one ordinary test, and the live tests above under the rules of ours."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini(
        "[pytest]\nmarkers =\n live\n full\n sample\naddopts = -ra --import-mode=importlib"
    )
    live = pytester.mkdir("tests") / "live"
    live.mkdir()
    (live / "conftest.py").write_text((root / "tests/live/conftest.py").read_text())
    (live / "test_live.py").write_text(_LIVE)
    (live.parent / "test_ordinary.py").write_text("def test_ordinary(): pass\n")
    return live


@pytest.mark.parametrize("args", [[], ["tests"], ["-k", "test"]])
@pytest.mark.usefixtures("suite")
def test_nobody_runs_live_tests_by_accident(pytester: pytest.Pytester, args: list[str]) -> None:
    pytester.runpytest(*args).assert_outcomes(passed=1, deselected=4)


@pytest.mark.parametrize("args", [["tests/live"], ["tests/live/test_live.py"], ["-m", "live"]])
@pytest.mark.usefixtures("suite")
def test_a_path_or_the_marker_asks_for_live_tests(
    pytester: pytest.Pytester, args: list[str]
) -> None:
    result = pytester.runpytest(*args)
    result.assert_outcomes(passed=1, skipped=3, deselected=int("-m" in args))
    result.stdout.fnmatch_lines(["SKIPPED*missing: a toaster", "SKIPPED*missing: a kettle"])


@pytest.mark.usefixtures("suite")
def test_in_ci_what_is_missing_fails_and_what_does_not_apply_is_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = pytester.runpytest("tests/live")
    result.assert_outcomes(passed=1, skipped=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*in CI nothing may be missing; missing: a toaster*"])


@pytest.fixture
def sampled(suite: Path) -> Path:
    """The file of a live test of which the gate runs two parameters."""
    file = suite / "test_sampled.py"
    file.write_text(_SAMPLED)
    return file


@pytest.mark.parametrize(("selection", "number"), [("live and not full", 2), ("live", 5)])
def test_the_gate_runs_the_sample_and_full_runs_all(
    pytester: pytest.Pytester, sampled: Path, selection: str, number: int
) -> None:
    result = pytester.runpytest("-m", selection, "-v", sampled)
    result.assert_outcomes(passed=number, deselected=5 - number)
    result.stdout.fnmatch_lines(["*test_fault?kill-redis? PASSED*", "*test_fault?pause? PASSED*"])


def test_a_sample_that_names_no_parameter_is_refused(
    pytester: pytest.Pytester, sampled: Path
) -> None:
    sampled.write_text(_SAMPLED.replace('"kill-re", "pause"', '"reboot"'))
    result = pytester.runpytest("-m", "live", sampled)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_sampled.py::test_fault: no parameter has reboot*"])
    pytester.runpytest(f"{sampled}::test_fault[stop]").assert_outcomes(passed=1)
