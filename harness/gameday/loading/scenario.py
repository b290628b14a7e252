"""Scenario files: what to do to a target, and what has to hold."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml
from pydantic import Field, TypeAdapter

from gameday.errors import ScenarioError
from gameday.loading.bounds import (
    complain_of_overlaps,
    complain_of_safety,
    complain_of_steady,
    complain_of_watch,
)
from gameday.loading.checks import Checks, SabotageItem
from gameday.loading.document import expand
from gameday.loading.limit_checks import complain_of_spans
from gameday.loading.parameters import Parameter, Parameters, Swept, combinations, complain_of_many
from gameday.loading.parsing import read_node
from gameday.loading.schema_parsing import fill
from gameday.loading.schema_types import Column, Item, Name, annotated, choice, columns, shaped
from gameday.loading.source import Source, quoted
from gameday.model.clock import SECOND
from gameday.model.scenario import (
    FaultStep,
    Safety,
    Scenario,
    Sla,
    Steady,
    Target,
    Timeline,
    Vocabulary,
)
from gameday.model.units import LIMITS, Unit, format_duration

__all__ = ["load_scenario", "schema", "schema_of", "sweep"]

_MOST_TRIED = 32
"""How many combinations of swept values are tried when a file is read."""
_LISTS = ("workload", "faults", "expect", "sabotage")
_PARTS = ("steady", "timeline", "safety")
_WRITTEN: Mapping[str, Callable[[float], str]] = {
    "a duration": lambda ns: format_duration(round(ns)).replace(" ", ""),
    "a duration with a sign": lambda ns: f"{ns / SECOND:+g}s",
    "a rate": lambda per_s: f"{per_s:g}/s",
    "a size": lambda size: f"{size:g}B",
    "a byte rate": lambda rate: f"{rate:g}B/s",
    "a share": lambda share: f"{share:.0%}",
}
"""How a default is written, by what the schema of its field says that it is."""
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ScenarioFile:
    """The keys of a scenario file; the vocabulary says what the items may be.

    An item is None once it was reported as invalid.
    """

    scenario: str
    """The name of the scenario, which is the name of its file."""
    title: str
    """One line for people."""
    target: str
    """The name of the target: the folder in `targets/`."""
    tags: frozenset[Name] = frozenset()
    """Words that `--scenario=tag:NAME` and `-k` select by."""
    parameters: Mapping[Name, Parameter] = field(default_factory=dict)
    """Values that can be set from outside, by name."""
    workload: tuple[Item | None, ...]
    """The load."""
    steady: Steady
    """What counts as the system doing its work."""
    timeline: Timeline = field(default_factory=Timeline)
    """How long each part of a run may take."""
    safety: Safety = field(default_factory=Safety)
    """How far the experiment may go."""
    faults: tuple[Item | None, ...]
    """What is broken, and when."""
    expect: tuple[Item | None, ...]
    """What has to hold."""
    sabotage: tuple[SabotageItem | None, ...] = ()
    """Deliberate defects that must make the scenario fail."""


def load_scenario(
    path: Path,
    vocabulary: Vocabulary,
    *,
    slas: Mapping[str, Sla] | None,
    target: Callable[[str], Target],
    settings: Mapping[str, str] = _NO_SETTINGS,
    set_by: Mapping[str, str] = _NO_SETTINGS,
) -> Scenario:
    """Return the scenario of a file with its parameters put in.

    `slas` are the promises that it may name, None when they are not known; `target` finds a target
    by name, `settings` are parameter values that replace the defaults and `set_by` says of some of
    them by what. If the file is right, every value that a sweep would try is tried as well.
    Raises ScenarioError with all problems at once.
    """
    node = read_node(path)
    load = functools.partial(
        _load, path, node, vocabulary, slas=slas, target=functools.cache(target)
    )
    scenario = load(settings=settings, set_by=set_by)
    problems: list[str] = []
    for values in _swept_values(path, node, settings):
        if values.items() <= scenario.parameters.items():
            continue  # as just loaded
        by = {name: f"{quoted(value)} in its sweep" for name, value in values.items()}
        try:
            load(settings={**settings, **values}, set_by={**set_by, **by})
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(*problems)
    return scenario


def _swept_values(
    path: Path, node: yaml.Node, settings: Mapping[str, str]
) -> list[Mapping[str, str]]:
    """Return what a sweep would set: every combination, or each value alone if they are many."""
    every = _sweep(path, node, settings)
    if len(every) > _MOST_TRIED:
        each = {(name, value): None for values in every for name, value in values.items()}
        return [{name: value} for name, value in each]
    return [values for values in every if values]


def _load(
    path: Path,
    node: yaml.Node,
    vocabulary: Vocabulary,
    *,
    slas: Mapping[str, Sla] | None,
    target: Callable[[str], Target],
    settings: Mapping[str, str],
    set_by: Mapping[str, str],
) -> Scenario:
    source, parameters = _read(path, node, settings, set_by)
    checks = Checks(source, vocabulary)
    named = source.at(("target",))
    found = _target(source, named, target) if isinstance(named, str) else None
    wanted = functools.partial(checks.wanted_of, target=found)
    file = fill(
        _form_of(vocabulary), source, ScenarioFile, apart=_LISTS, parts=_PARTS, wanted=wanted
    )
    if file.scenario is not None:
        checks.name(file.scenario)
    if file.parameters is not None:
        complain_of_many(source, file.parameters, settings)
    workload = checks.workload(file.workload or (), found)
    steps = checks.faults(file.faults or (), found, workload)
    expect = checks.expect(file.expect or (), slas)
    if file.steady is not None:
        complain_of_steady(source, file.steady)
        complain_of_spans(source, "steady", file.steady)
    if file.timeline is not None:
        complain_of_spans(source, "timeline", file.timeline)
        complain_of_watch(source, file.timeline, expect)
    if file.safety is not None:
        complain_of_spans(source, "safety", file.safety)
        complain_of_safety(source, file.safety, steps)
    complain_of_overlaps(source, vocabulary, steps)
    sabotage = checks.sabotage(
        file.sabotage or (),
        switches=None if found is None else tuple(found.switches),
        verbs=_all(None if item is None else item.word for item in file.faults or (None,)),
        expectations=_all(None if e is None else e.name for e in expect or (None,)),
    )
    source.refuse_if_wrong()
    return Scenario(
        name=file.scenario,
        title=file.title,
        path=path,
        target=file.target,
        tags=file.tags,
        parameters=parameters.values,
        workload=workload,
        steady=file.steady,
        timeline=file.timeline,
        safety=file.safety,
        faults=tuple(step for step in steps if step is not None),
        expect=tuple(e for e in expect if e is not None),
        sabotage=sabotage,
    )


def sweep(
    path: Path, *, settings: Mapping[str, str] = _NO_SETTINGS
) -> tuple[Mapping[str, str], ...]:
    """Return the combinations of values that a scenario's sweeps ask for; one empty if none do.

    A parameter in `settings` keeps that value: it is not swept.
    """
    return _sweep(path, read_node(path), settings)


def _sweep(
    path: Path, node: yaml.Node, settings: Mapping[str, str]
) -> tuple[Mapping[str, str], ...]:
    source = expand(path, node, only=("parameters",), as_text=True)
    swept = fill(_swept(), source, Swept)
    source.refuse_if_wrong()
    return combinations(source, swept, settings)


@functools.cache
def _swept() -> type:
    return shaped(Swept, {})


def schema(vocabulary: Vocabulary) -> dict[str, object]:
    """Return the JSON Schema of scenario files in these words."""
    return schema_of(_form_of(vocabulary, strict=True))


def schema_of(form: type) -> dict[str, object]:
    """Return the JSON Schema of a form, in the words of its file."""
    made: dict[str, object] = TypeAdapter(form).json_schema()
    _in_words(made)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _read(
    path: Path, node: yaml.Node, settings: Mapping[str, str], set_by: Mapping[str, str]
) -> tuple[Source, Parameters]:
    """Return the file with its parameters put in; their own section stays as written."""
    raw = expand(path, node, only=("parameters",), as_text=True)
    parameters = Parameters(raw, settings, set_by)
    source = expand(path, node, without=("parameters",), substitute=parameters.substitute)
    assert isinstance(source.plain, dict)
    assert isinstance(raw.plain, dict)
    source.plain |= raw.plain
    source.spots |= raw.spots
    source.problems |= raw.problems
    parameters.complain_of_unused(source, settings)
    return source, parameters


def _target(source: Source, name: str, target: Callable[[str], Target]) -> Target | None:
    try:
        return target(name)
    except ScenarioError as error:
        first, *others = error.problems
        wrong = f"{quoted(name)} has problems of its own"
        source.complain(("target",), first if not others else wrong)
        if others:
            source.appendix.extend([first, *others])
        return None


def _all(names: Iterable[str | None]) -> tuple[str, ...] | None:
    """Return the names, or None when not all of them are known."""
    known = tuple(names)
    return None if None in known else tuple(name for name in known if name is not None)


def _form_of(vocabulary: Vocabulary, *, strict: bool = False) -> type:
    """Return the form of scenario files in these words; `strict` is what a schema can say."""
    return _form(
        tuple(vocabulary.faults.items()),
        tuple(vocabulary.workloads.items()),
        tuple(vocabulary.findings.items()),
        strict,
    )


_Words = tuple[tuple[str, type], ...]


@functools.lru_cache(maxsize=4)
def _form(
    faults: _Words, workloads: _Words, findings: tuple[tuple[str, str], ...], strict: bool
) -> type:
    step = columns(FaultStep, without=("fault",))
    to_hit = {
        verb: [c.under(verb) if c.name == "target" else c for c in columns(kind)]
        for verb, kind in faults
    }
    to_do = {verb: [Column("spec", kind).under(verb)] for verb, kind in workloads}
    to_hold = {
        "sla": [Column("limit", str).under("sla")],
        **{name: [Column("limit", LIMITS[Unit(unit)]).under(name)] for name, unit in findings},
    }
    return shaped(
        ScenarioFile,
        {
            "workload": _some(choice("workload", to_do, [], strict=strict)),
            "faults": _some(choice("fault", to_hit, step, strict=strict)),
            "expect": _some(choice("finding", to_hold, [], strict=strict)),
        },
    )


def _some(kind: object) -> object:
    return annotated(tuple[kind, ...], Field(min_length=1))  # type: ignore[valid-type]


def _in_words(made: object) -> None:
    """Write defaults that have a unit as people write them, and refuse unknown keys everywhere."""
    if isinstance(made, dict):
        default = made.get("default")
        if made.get("type") == "string" and isinstance(default, int | float):
            made["default"] = _WRITTEN[str(made.get("description"))](default)
        if made.get("type") == "object" and "properties" in made:
            made["additionalProperties"] = False
        for value in made.values():
            _in_words(value)
    elif isinstance(made, list):
        for value in made:
            _in_words(value)
