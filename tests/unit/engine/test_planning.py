"""Plans resolve everything before the start; sabotage changes just what it names."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.api.environment import Features
from gameday.api.fault import Requirements
from gameday.api.mechanism import Mechanism
from gameday.engine.planning import (
    Experiment,
    Options,
    choose_runtime,
    find,
    load,
    make_environment,
    make_plan,
    sabotaged,
)
from gameday.errors import EnvironmentRefused, ScenarioError
from gameday.faults.lifecycle.remove import Remove
from gameday.faults.network import Partition
from gameday.faults.noop import Noop
from gameday.faults.resources import CpuLimit
from gameday.host.docker_presence import EngineTrouble
from gameday.model.clock import SECOND
from gameday.model.scenario import Hits, ServiceSpec
from gameday.resources import bundled


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
    assert isinstance(step.fault, Noop)
    (planned,) = make_plan(changed, options).faults
    assert (planned.fault, planned.target) == ("kill", "redis")


def test_every_bundled_scenario_loads(options: Options) -> None:
    files = find("*", ())
    assert files
    for file in files:
        load(file, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A fault that cannot be had; what it would do does not matter here."""

    verb: ClassVar[str] = "demand"
    hits: ClassVar[Hits] = "service"
    target: str = "redis"
    wanted: Requirements

    def requirements(self, runtime: str) -> Requirements:
        return self.wanted


def demanding(experiment: Experiment, wanted: Requirements) -> Experiment:
    step = replace(experiment.scenario.faults[0], fault=Demand(wanted=wanted))
    return replace(experiment, scenario=replace(experiment.scenario, faults=(step,)))


def broken() -> str:
    raise OSError("no such thing here")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Requirements(impossible="there is no kernel"), "demand of redis: there is no kernel"),
        (
            Requirements(
                mechanisms=(
                    Mechanism(name="magic", used_for="tests", cure="learn it", check=broken),
                )
            ),
            "demand of redis needs magic: no such thing here; learn it",
        ),
        (
            Requirements(bounded_disk=True),
            (
                "demand of redis: its data is on the host's disk; add `disk: 64MB` to give it a "
                "volume of its own"
            ),
        ),
    ],
)
def test_a_plan_that_needs_what_is_missing_is_refused_by_name(
    experiment: Experiment, options: Options, tmp_path: Path, wanted: Requirements, why: str
) -> None:
    changed = demanding(experiment, wanted)
    with pytest.raises(EnvironmentRefused, match=f"^{why}$"):
        make_environment(make_plan(changed, options), changed, run="r", logs=tmp_path, port_base=0)


def test_a_mechanism_that_something_else_stands_in_for_is_not_missed(
    experiment: Experiment, options: Options, tmp_path: Path
) -> None:
    magic = Mechanism(name="magic", used_for="tests", cure="", check=broken, instead="patience")
    changed = demanding(experiment, Requirements(mechanisms=(magic,)))
    plan = make_plan(changed, options)
    assert plan.faults[0].needs == ("magic (or else patience)",)
    make_environment(plan, changed, run="r", logs=tmp_path, port_base=0)


def test_removing_with_the_volume_kept_is_refused_in_process_before_the_start(
    experiment: Experiment, options: Options, tmp_path: Path
) -> None:
    step = replace(experiment.scenario.faults[0], fault=Remove(target="redis", volume="keep"))
    changed = replace(experiment, scenario=replace(experiment.scenario, faults=(step,)))
    with pytest.raises(EnvironmentRefused, match=r"^remove of redis: cannot be removed in process"):
        make_environment(make_plan(changed, options), changed, run="r", logs=tmp_path, port_base=0)


def test_a_fault_of_the_hosts_disk_is_refused_where_the_disk_is_bounded(
    experiment: Experiment, options: Options, tmp_path: Path
) -> None:
    changed = demanding(experiment, Requirements(hosts_disk=True))
    services = tuple(
        replace(spec, disk_bytes=64_000_000) if spec.name == "redis" else spec
        for spec in experiment.target.services
    )
    make_environment(make_plan(changed, options), changed, run="r", logs=tmp_path, port_base=0)
    bounded = replace(changed, target=replace(experiment.target, services=services))
    with pytest.raises(EnvironmentRefused, match="its volume is in memory"):
        make_environment(make_plan(bounded, options), bounded, run="r", logs=tmp_path, port_base=0)


def test_faults_that_would_undo_each_other_are_refused(options: Options, tmp_path: Path) -> None:
    whole = (bundled("scenarios") / "redis-restart.yaml").read_text()
    twice = whole.replace("faults:\n", "faults:\n  - pause: redis\n    for: 1s\n")
    (tmp_path / "redis-restart.yaml").write_text(twice)
    with pytest.raises(ScenarioError, match=r"pause of redis, .* both act on its processes"):
        load(tmp_path / "redis-restart.yaml", options)


@pytest.mark.parametrize("proxy", ["auto", "own"])
@pytest.mark.parametrize(
    ("trouble", "runtime", "why"),
    [
        (None, "docker", "a Docker engine answers"),
        (
            EngineTrouble(seen="none answers", cure="start one"),
            "process",
            "no Docker engine can be used: none answers; start one",
        ),
    ],
)
def test_the_runtime_is_docker_where_an_engine_answers_whatever_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
    trouble: EngineTrouble | None,
    runtime: str,
    why: str,
    proxy: str,
) -> None:
    monkeypatch.setattr("gameday.engine.planning.engine_trouble", lambda: trouble)
    assert choose_runtime(Options(proxy=proxy, settings={})) == (runtime, why)


def test_an_engine_that_the_installed_packages_cannot_talk_to_is_never_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trouble = EngineTrouble(seen="it answers, but", cure="upgrade", unusable=True)
    monkeypatch.setattr("gameday.engine.planning.engine_trouble", lambda: trouble)
    with pytest.raises(EnvironmentRefused, match="it answers, but; upgrade"):
        choose_runtime(Options(settings={}))
    assert choose_runtime(Options(runtime="process", settings={}))[0] == "process"


@pytest.mark.parametrize("runtime", ["docker", "process"])
@pytest.mark.parametrize(("extra", "package"), [("postgres", "psycopg"), ("rabbitmq", "pika")])
def test_a_package_that_a_service_needs_is_asked_for_before_anything_is_started(
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    runtime: str,
    extra: str,
    package: str,
) -> None:
    store = ServiceSpec(name="store", kind=extra)
    target = replace(experiment.target, services=(*experiment.target.services, store))
    changed = replace(experiment, target=target)
    monkeypatch.setattr(
        "gameday.extras.find_spec", lambda name: None if name == package else object()
    )
    plan = make_plan(changed, Options(runtime=runtime, settings={}))
    wanted = (
        f"store: the Python package {package} is not installed; "
        rf"pip install 'pytest-gameday\[{extra}\]'"
    )
    with pytest.raises(EnvironmentRefused, match=wanted):
        make_environment(plan, changed, run="r", logs=tmp_path, port_base=0)


def test_docker_without_its_packages_is_refused_with_the_cure(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gameday.extras.find_spec", lambda _: None)
    plan = make_plan(experiment, Options(runtime="docker", settings={}))
    with pytest.raises(EnvironmentRefused) as refused:
        make_environment(plan, experiment, run="r", logs=tmp_path, port_base=0)
    assert str(refused.value) == (
        "docker: the Python package docker is not installed; "
        "pip install 'pytest-gameday[docker]', or use --gameday-runtime=process"
    )


def test_a_fault_that_needs_gamedays_proxy_gets_it_or_is_refused(
    experiment: Experiment, tmp_path: Path
) -> None:
    changed = demanding(experiment, Requirements(features=Features(own_proxy=True)))
    docker = Options(runtime="docker", settings={})
    assert make_plan(changed, docker).proxy == "own"
    plan = make_plan(changed, Options(runtime="process", proxy="toxiproxy", settings={}))
    with pytest.raises(EnvironmentRefused, match="demand of redis: toxiproxy cannot do this"):
        make_environment(plan, changed, run="r", logs=tmp_path, port_base=0)


def test_a_fault_that_nothing_comes_by_is_refused(
    experiment: Experiment, options: Options, tmp_path: Path
) -> None:
    # The client is no service that a probe could ask, and nothing of the target connects the two.
    step = replace(experiment.scenario.faults[0], fault=Partition(target="relay | listener"))
    changed = replace(experiment, scenario=replace(experiment.scenario, faults=(step,)))
    plan = make_plan(changed, options)
    assert plan.faults[0].met_by == ()
    with pytest.raises(EnvironmentRefused, match=r"relay \| listener: no workload"):
        make_environment(plan, changed, run="r", logs=tmp_path, port_base=0)


def test_a_program_of_an_image_of_its_own_is_looked_for_where_there_are_no_images(
    experiment: Experiment, options: Options, tmp_path: Path
) -> None:
    services = tuple(
        replace(spec, program="shop.orders", image="shop:1") if spec.name == "relay" else spec
        for spec in experiment.target.services
    )
    changed = replace(experiment, target=replace(experiment.target, services=services))
    with pytest.raises(EnvironmentRefused, match=r"relay: Python has no module 'shop\.orders'"):
        make_environment(make_plan(changed, options), changed, run="r", logs=tmp_path, port_base=0)


def test_what_limits_nothing_is_refused_before_anything_starts(
    experiment: Experiment, options: Options, tmp_path: Path
) -> None:
    step = replace(experiment.scenario.faults[0], fault=CpuLimit(target="redis", cores=512))
    changed = replace(experiment, scenario=replace(experiment.scenario, faults=(step,)))
    plan = make_plan(changed, options)
    with pytest.raises(EnvironmentRefused, match=r"cpu-limit of redis: 512 of \d+ cores limit"):
        make_environment(plan, changed, run="r", logs=tmp_path, port_base=0)


def test_who_set_a_wrong_value_is_told(options: Options) -> None:
    path = bundled("scenarios") / "redis-restart.yaml"
    with pytest.raises(ScenarioError, match=r"\(from \$\{outage\}, set by --gameday-set\)$"):
        load(path, replace(options, settings={"outage": "2"}))
    with pytest.raises(ScenarioError, match=r"\(from \$\{outage\}, set to '2'\)$"):
        load(path, options, {"outage": "2"})


def test_a_target_that_no_load_can_be_sent_to_is_not_offered(
    options: Options, tmp_path: Path
) -> None:
    whole = (bundled("scenarios") / "redis-restart.yaml").read_text()
    path = tmp_path / "redis-restart.yaml"
    path.write_text(whole.replace("target: signals", "target: signal"))
    with pytest.raises(ScenarioError, match="no target 'signal'; valid: signals; nearest"):
        load(path, options)
