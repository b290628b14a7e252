"""SLA files: what documents promise, each promise with its source."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from gameday.errors import ScenarioError
from gameday.loading.document import expand
from gameday.loading.limit_checks import complain_of_limit
from gameday.loading.parsing import read_node
from gameday.loading.remembered import Remembered
from gameday.loading.schema_parsing import fill
from gameday.loading.schema_types import Column, Item, Name, annotated, choice, columns, shaped
from gameday.loading.selection import yaml_files
from gameday.loading.source import Source, composed, spell
from gameday.model.scenario import Sla, Vocabulary
from gameday.model.units import LIMITS, Limit, Unit

__all__ = ["load_slas"]

_SEVERITIES = Literal["blocker", "critical", "normal", "minor", "trivial"]
_BESIDE = ("title", "section", "quote", "severity")


@dataclass(frozen=True, kw_only=True)
class _SlaFile:
    """The keys of an SLA file."""

    slas: Name
    document: str
    title: str = ""
    promises: Mapping[Name, Item]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The promises of a file, the position of each, and the problems of the file."""

    slas: Mapping[str, Sla]
    places: Mapping[str, str]
    problems: tuple[str, ...]


_FILES: Remembered[_Read] = Remembered()


def load_slas(source: Path | Iterable[Path], vocabulary: Vocabulary) -> dict[str, Sla]:
    """Return the promises of files, or of all files in a folder, by names like "arbees/mttr".

    Raises ScenarioError with all problems of all files.
    """
    if isinstance(source, Path):
        paths = yaml_files(source) if source.is_dir() else [source]
    else:
        paths = list(source)
    findings = tuple(vocabulary.findings.items())
    slas: dict[str, Sla] = {}
    problems: list[str] = []
    for path in paths:
        file = _FILES(path, functools.partial(_load, path, vocabulary), of=findings)
        problems += file.problems
        problems += [
            f"{place}: another file promises the same name"
            for name, place in file.places.items()
            if name in slas
        ]
        slas |= file.slas
    if problems:
        raise ScenarioError(*problems)
    return slas


def _load(path: Path, vocabulary: Vocabulary) -> _Read:
    try:
        source = expand(path, read_node(path))
    except ScenarioError as error:
        return _Read(slas={}, places={}, problems=error.problems)
    file = fill(_form(tuple(vocabulary.findings.items())), source, _SlaFile, apart=("promises",))
    slas, places = {}, {}
    for name, promise in (file.promises or {}).items():
        _check(source, name, promise, vocabulary)
        values = promise.values
        limit = values["limit"]
        assert isinstance(limit, Limit)
        if file.slas is None:
            continue  # what it would be called is not known
        sla = Sla(
            name=composed(f"{file.slas}/{name}"),
            finding=promise.word,
            limit=limit,
            document=file.document,
            **{key: str(values[key]) for key in _BESIDE},
        )
        slas[sla.name] = sla
        line, column = source.spots["promises", name].key or (1, 1)
        places[sla.name] = f"{path}:{line}:{column}: {spell(('promises', name))}"
    return _Read(slas=slas, places=places, problems=tuple(source.lines))


def _check(source: Source, name: str, promise: Item, vocabulary: Vocabulary) -> None:
    limit = promise.values["limit"]
    assert isinstance(limit, Limit)
    where = ("promises", name, promise.word)
    complain_of_limit(source, where, limit, vocabulary.findings[promise.word], promise.word)


@functools.lru_cache(maxsize=4)
def _form(findings: tuple[tuple[str, str], ...]) -> type:
    beside = [
        Column(c.name, _SEVERITIES, c.default) if c.name == "severity" else c
        for c in columns(Sla)
        if c.name in _BESIDE
    ]
    words = {name: [Column("limit", LIMITS[Unit(unit)]).under(name)] for name, unit in findings}
    promises = annotated(
        Mapping[Name, choice("finding", words, beside)],  # type: ignore[misc]
        Field(min_length=1),
    )
    return shaped(_SlaFile, {"promises": promises})
