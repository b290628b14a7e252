"""The table of the faults has all of them, in either environment."""

from pathlib import Path

import pytest

from gameday.faults.registry import FAULTS

TABLE = Path(__file__).parents[3] / "docs" / "faults" / "table.md"


@pytest.mark.parametrize("runtime", ["docker", "process"])
@pytest.mark.parametrize("verb", FAULTS)
def test_every_fault_is_in_the_table_by_what_was_measured_or_why_it_cannot_be(
    verb: str, runtime: str
) -> None:
    rows = [
        [cgroup.strip() for cgroup in line.strip("|").split(" | ")]
        for line in TABLE.read_text().splitlines()
        if line.startswith(f"| {verb} | {runtime} | ")
    ]
    assert rows, f"no row of {verb} in {runtime}"
    assert all(len(row) == 5 and row[3] for row in rows)
