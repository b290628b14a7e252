"""Plans resolve everything before the start; sabotage changes just what it names."""

import pytest

from gameday.model.clock import SECOND
from gameday.planning import Experiment, Options, find, load, make_plan, sabotaged
from gameday.resources import bundled
from gameday.testing.dud import Dud


@pytest.fixture
def options() -> Options:
    return Options(runtime="process", seed=7, settings={})


@pytest.fixture
def experiment(options: Options) -> Experiment:
    return load(bundled("scenarios") / "redis-restart.yaml", options)


def sabotage(experiment: Experiment, name: str) -> Experiment:
    (entry,) = [entry for entry in experiment.scenario.sabotage if entry.name == name]
    return sabotaged(experiment, entry)


def test_the_same_seed_makes_the_same_plan(experiment: Experiment, options: Options) -> None:
    assert make_plan(experiment, options) == make_plan(experiment, options)


def test_a_seed_is_drawn_when_none_is_given(experiment: Experiment) -> None:
    options = Options(runtime="process", settings={})
    seeds = {make_plan(experiment, options).seed for _ in range(3)}
    assert len(seeds) == 3


def test_a_parameter_moves_the_steps_that_use_it(options: Options) -> None:
    longer = load(bundled("scenarios") / "redis-restart.yaml", options, {"outage": "4s"})
    assert make_plan(longer, options).faults[0].until_ns == 4 * SECOND


def test_both_paths_to_what_is_hit_are_probed(experiment: Experiment, options: Options) -> None:
    edges = {stream.name: stream.edge for stream in make_plan(experiment, options).streams}
    assert edges["probe-front"] == "client -> redis"
    assert edges["probe-direct"] == "redis"


def test_a_switch_changes_one_service(experiment: Experiment) -> None:
    before = {spec.name: spec for spec in experiment.target.services}
    after = {spec.name: spec for spec in sabotage(experiment, "no-reconnect").target.services}
    assert after["listener"].env["SIGNALS_RECONNECT"] == "off"
    assert {n: s for n, s in after.items() if n != "listener"} == {
        n: s for n, s in before.items() if n != "listener"
    }


def test_several_switches_are_turned_together(experiment: Experiment) -> None:
    services = {
        spec.name: spec for spec in sabotage(experiment, "no-persistence+push").target.services
    }
    assert services["redis"].options["appendonly"] == "no"
    assert services["listener"].env["SIGNALS_PUSH"] == "off"


def test_a_disabled_fault_becomes_a_dud_that_keeps_its_name_in_the_plan(
    experiment: Experiment, options: Options
) -> None:
    changed = sabotage(experiment, "no-kill")
    (step,) = changed.scenario.faults
    assert isinstance(step.fault, Dud)
    (planned,) = make_plan(changed, options).faults
    assert (planned.fault, planned.target) == ("kill", "redis")


def test_every_bundled_scenario_loads(options: Options) -> None:
    files = find("*", ())
    assert files
    for file in files:
        load(file, options)
