"""Steps 1 and 2 of a run: files to an experiment, an experiment to a plan. Nothing is started."""

import functools
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import cast

from gameday.analysis import FINDINGS
from gameday.api.environment import Environment, EnvironmentConfig
from gameday.api.fault import BoundToWorkload, Fault
from gameday.api.mechanism import Mechanism
from gameday.engine.requirements import features_of, missing, real, requirements_of
from gameday.engine.streams import met_by, plan_streams
from gameday.errors import EnvironmentRefused, ExtensionError, ScenarioError
from gameday.extras import docker_missing
from gameday.faults.conflicts import conflict
from gameday.faults.context import validate_step
from gameday.faults.noop import Noop
from gameday.host.docker_presence import engine_trouble
from gameday.loading import (
    Remembered,
    find_scenarios,
    find_target,
    load_scenario,
    load_slas,
    load_target,
    schema,
    sweep,
)
from gameday.model.plan import Plan, PlannedFault
from gameday.model.scenario import (
    Expectation,
    FaultStep,
    Sabotage,
    Scenario,
    Sla,
    Target,
    Vocabulary,
)
from gameday.model.units import format_duration
from gameday.registry import Registry, kinds_of, registry
from gameday.resources import bundled
from gameday.runtimes.program import is_program
from gameday.runtimes.variables import told_about

__all__ = [
    "Experiment",
    "Options",
    "choose_runtime",
    "find",
    "load",
    "make_environment",
    "make_plan",
    "sabotaged",
    "scenario_schema",
    "sweeps",
    "vocabulary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user chose on the command line."""

    runtime: str = "auto"
    proxy: str = "auto"
    seed: int | None = None
    port_base: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    """The parameters of scenarios, by name."""
    folders: tuple[Path, ...] = ()
    """Where the user's own scenarios and targets are looked for, before the bundled ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A scenario with its target, and the sabotage that was applied to both, if any."""

    scenario: Scenario
    target: Target
    sabotage: Sabotage | None = None


_TARGETS: Remembered[Target] = Remembered()


def vocabulary() -> Vocabulary:
    """Return every word that a scenario may use; ExtensionError if an extension is broken."""
    return _vocabulary(registry())


@functools.lru_cache(maxsize=2)
def _vocabulary(known: Registry) -> Vocabulary:
    for name in sorted(FINDINGS.keys() & known.findings.keys()):
        raise ExtensionError(f"an extension adds the finding {name!r}, which gameday has already")
    programs = {name: kind for name, kind in known.kinds.items() if kind.own}
    return Vocabulary(
        faults=known.faults,
        kinds={verb: kinds for verb, fault in known.faults.items() if (kinds := kinds_of(fault))},
        workloads=known.workloads,
        services=frozenset(known.kinds),
        programs=frozenset(programs),
        primaries={name: kind.primary for name, kind in known.kinds.items() if kind.primary},
        findings={
            **{name: str(unit) for name, unit in FINDINGS.items()},
            **{name: str(kind.unit) for name, kind in known.findings.items()},
        },
        conflict=conflict,
        validate_step=validate_step,
        is_program=is_program,
        own={name: tuple(kind.own) for name, kind in programs.items()},
        told={name: told_about(name) for name in known.kinds},
    )


def scenario_schema() -> dict[str, object]:
    """Return the JSON Schema of a scenario file, of the words that it may use."""
    return schema(vocabulary())


def find(selector: str, folders: Sequence[Path]) -> list[Path]:
    """Return the files of the scenarios that `selector` names; the user's come first."""
    return find_scenarios(selector, folders, bundled("scenarios"))


def load(path: Path, options: Options, settings: Mapping[str, str] | None = None) -> Experiment:
    """Return the experiment that a scenario file describes; ScenarioError with all problems."""
    words = vocabulary()
    found: dict[str, Target] = {}
    folders = [
        path.absolute().parent.parent / "targets",
        *(f.parent / "targets" for f in options.folders),
    ]

    def target(name: str) -> Target:
        path = find_target(name, [*folders, bundled("targets")], words)
        found[name] = _TARGETS(path, functools.partial(load_target, path, words))
        return found[name]

    problems: tuple[str, ...] = ()
    slas: Mapping[str, Sla] | None = None
    try:
        slas = _promises(path.parent / "slas", words)
    except ScenarioError as error:
        problems = error.problems
    try:
        scenario = load_scenario(
            path,
            words,
            slas=slas,
            target=target,
            settings={**options.settings, **(settings or {})},
            set_by={
                name: "set by --gameday-set"
                for name in options.settings
                if name not in (settings or {})
            },
        )
    except ScenarioError as error:
        raise ScenarioError(*error.problems, *problems) from None
    if problems:
        raise ScenarioError(*problems)
    steps = tuple(_bind_to_workload(step, scenario) for step in scenario.faults)
    return Experiment(scenario=replace(scenario, faults=steps), target=found[scenario.target])


def _promises(folder: Path, words: Vocabulary) -> Mapping[str, Sla]:
    """Return the promises that scenarios beside `folder` may name.

    Those of the project come before those of the same name that come with gameday.
    """
    usual = bundled("scenarios") / "slas"
    # os.path, because Path.resolve raises for links that lead back to themselves.
    same = os.path.realpath(folder) == os.path.realpath(usual)
    own = load_slas(folder, words) if os.path.lexists(folder) and not same else {}
    return {**load_slas(usual, words), **own}


def sweeps(path: Path, options: Options) -> tuple[Mapping[str, str], ...]:
    """Return the parameter values that each test of a sweep gets."""
    return sweep(path, settings=options.settings)


def sabotaged(experiment: Experiment, sabotage: Sabotage) -> Experiment:
    """Return the experiment with what `sabotage` names switched off."""
    scenario, target = experiment.scenario, experiment.target
    services = {spec.name: spec for spec in target.services}
    faults = list(scenario.faults)
    for name in sabotage.disable:
        switch = target.switches.get(name)
        if switch is not None:
            spec = services[switch.service]
            services[switch.service] = replace(
                spec,
                env={**spec.env, **switch.env},
                options={**spec.options, **switch.options},
            )
        else:
            faults = [_noop(step) if step.fault.verb == name else step for step in faults]
    return Experiment(
        scenario=replace(scenario, faults=tuple(faults)),
        target=replace(target, services=tuple(services.values())),
        sabotage=sabotage,
    )


def choose_runtime(options: Options) -> tuple[str, str]:
    """Return "docker" where an engine answers, else "process", unless one was asked for; and why.

    Raises EnvironmentRefused where an engine answers that the installed packages cannot talk to:
    nobody who has one wants to be measured without it and not be told.
    """
    if options.runtime != "auto":
        return options.runtime, f"--gameday-runtime={options.runtime}"
    trouble = engine_trouble()
    if trouble is None:
        return "docker", "a Docker engine answers"
    if trouble.unusable:
        raise EnvironmentRefused(f"{trouble.seen}; {trouble.cure}")
    return "process", f"no Docker engine can be used: {trouble.seen}; {trouble.cure}"


def make_plan(experiment: Experiment, options: Options) -> Plan:
    """Resolve an experiment to absolute steps; one seed decides every draw."""
    scenario, target = experiment.scenario, experiment.target
    runtime, why = choose_runtime(options)
    proxy = options.proxy
    if proxy == "auto":
        own = runtime == "process" or features_of(scenario, runtime).own_proxy
        proxy = "own" if own else "toxiproxy"
    streams = plan_streams(scenario, target)
    return Plan(
        scenario=scenario.name,
        title=scenario.title,
        path=scenario.path.name,
        target=target.name,
        runtime=runtime,
        runtime_why=why,
        proxy=proxy,
        seed=random.SystemRandom().randrange(2**32) if options.seed is None else options.seed,
        parameters=scenario.parameters,
        sabotage=experiment.sabotage.name if experiment.sabotage else "",
        waves=tuple(tuple(spec.name for spec in wave) for wave in target.waves),
        edges=tuple(str(edge) for edge in target.edges),
        streams=streams,
        faults=tuple(
            _planned(number, step, met_by(step, streams, scenario, target), runtime)
            for number, step in enumerate(scenario.faults)
        ),
        expectations=tuple(map(_expected, scenario.expect)),
        baseline_ns=scenario.timeline.baseline_ns,
        steady_ns=scenario.steady.for_ns,
        recovery_limit_ns=scenario.timeline.recovery_ns,
        quiet_ns=scenario.timeline.quiet_ns,
        stop=_stop_text(scenario),
    )


def make_environment(
    plan: Plan, experiment: Experiment, *, run: str, logs: Path, port_base: int
) -> Environment:
    """Return the environment that the plan chose, after asking what the host lacks for it.

    Every mechanism that a fault needs is tried out. Raises EnvironmentRefused, naming everything
    that is missing and how to get it.
    """
    given = EnvironmentConfig(
        run=run,
        target=experiment.target,
        logs=logs,
        seed=plan.seed,
        proxy=plan.proxy,
        port_base=port_base,
        features=features_of(experiment.scenario, plan.runtime),
    )
    environment: Environment
    if plan.runtime == "docker":
        absent = docker_missing()
        if absent is not None:
            cure = f"{absent.cure}, or use --gameday-runtime=process"
            raise EnvironmentRefused(f"docker: {absent.seen}; {cure}")
        from gameday.runtimes.docker.environment import (
            ContainerEnvironment,  # only where it is used
        )

        environment = ContainerEnvironment(given)
    else:
        from gameday.runtimes.process.environment import ProcessEnvironment

        environment = ProcessEnvironment(given)
    lacks = (*environment.missing(), *missing(experiment.scenario, experiment.target, plan))
    if lacks:
        raise EnvironmentRefused("; ".join(lacks))
    return environment


def _bind_to_workload(step: FaultStep, scenario: Scenario) -> FaultStep:
    if not isinstance(step.fault, BoundToWorkload):
        return step
    return replace(step, fault=step.fault.bind_to_workload(scenario.workload[0]))


def _noop(step: FaultStep) -> FaultStep:
    return replace(step, fault=Noop(fault=cast(Fault, step.fault)))


def _needed(mechanism: Mechanism) -> str:
    other = mechanism.instead
    return f"{mechanism.name} (or else {other})" if other else mechanism.name


def _stop_text(scenario: Scenario) -> str:
    stop = scenario.safety.stop
    if stop is None:
        return ""
    return f"success {stop.success.text} for {format_duration(stop.for_ns)}"


def _expected(expectation: Expectation) -> str:
    wanted = f"{expectation.finding} {expectation.limit.text}"
    own_name = expectation.name != expectation.finding
    return f"{expectation.name}: {wanted}" if own_name else wanted


def _planned(number: int, step: FaultStep, met_by: tuple[str, ...], runtime: str) -> PlannedFault:
    fault = real(step)
    settings = {key: value for key, value in asdict(fault).items() if key != "target"}  # type: ignore[call-overload]
    return PlannedFault(
        step=number,
        fault=fault.verb,
        target=step.fault.target,
        at_ns=step.at_ns,
        until_ns=step.at_ns + step.for_ns,
        settings=settings,
        exposure=step.exposure,
        met_by=met_by,
        usual=tuple(
            field.name
            for field in fields(fault)  # type: ignore[arg-type]
            if field.name in settings and getattr(fault, field.name) == field.default
        ),
        needs=tuple(_needed(mechanism) for mechanism in requirements_of(step, runtime).mechanisms),
    )
