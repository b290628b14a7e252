from pathlib import Path

import pytest

from gameday.engine.planning import vocabulary
from gameday.loading import (
    find_scenarios,
    find_target,
    load_scenario,
    load_slas,
    load_target,
    sweep,
)
from gameday.resources import bundled

WORDS = vocabulary()


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
            target=lambda name: load_target(find_target(name, [bundled("targets")], WORDS), WORDS),
            settings=settings,
        )
        assert scenario.name == path.stem
