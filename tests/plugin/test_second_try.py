"""A live test that fails may be tried again, which is told, and not too often."""

from pathlib import Path

import pytest

_LIVE = Path(__file__).parents[1] / "live" / "conftest.py"
_TESTS = """
    import pytest

    tried = set()

    @pytest.mark.parametrize("number", range({number}))
    def test_second(number):
        before = number in tried
        tried.add(number)
        assert before, "what the first try said"

    def test_always():
        assert {works}
"""


@pytest.mark.parametrize(
    ("number", "works", "ends"),
    [
        (3, True, pytest.ExitCode.OK),
        (4, True, pytest.ExitCode.TESTS_FAILED),
        (1, False, pytest.ExitCode.TESTS_FAILED),
    ],
    ids=["three are let go", "four are a defect", "who fails twice has failed"],
)
def test_second_tries_are_told_and_counted(
    pytester: pytest.Pytester, number: int, works: bool, ends: pytest.ExitCode
) -> None:
    pytester.makeconftest(_LIVE.read_text(encoding="utf-8"))
    pytester.makepyfile(_TESTS.format(number=number, works=works))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--reruns", "1", ".")
    assert result.ret == ends
    result.stdout.fnmatch_lines(["*tried twice: * at most 3 may be*", "*what the first try said"])
