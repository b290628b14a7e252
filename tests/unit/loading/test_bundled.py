from pathlib import Path

import pytest

from gameday.analysis import FINDINGS
from gameday.faults.registry import FAULTS
from gameday.loading import (
    find_scenarios,
    find_target,
    load_scenario,
    load_slas,
    load_target,
    sweep,
)
from gameday.model.scenario import Vocabulary
from gameday.resources import bundled
from gameday.workload.publish import Publish

WORDS = Vocabulary(
    faults=FAULTS,
    workloads={Publish.verb: Publish},
    services=frozenset({"app", "redis"}),
    findings={name: str(unit) for name, unit in FINDINGS.items()},
)


@pytest.mark.parametrize(
    "path", find_scenarios("*", [bundled("scenarios")]), ids=lambda path: path.stem
)
def test_a_scenario_that_comes_with_gameday_is_right_with_all_its_sweeps(path: Path) -> None:
    slas = load_slas(path.parent / "slas", WORDS)
    for settings in ({}, *sweep(path)):
        scenario = load_scenario(
            path,
            WORDS,
            slas=slas,
            target=lambda name: load_target(find_target(name, [bundled("targets")]), WORDS),
            settings=settings,
        )
        assert scenario.name == path.stem
