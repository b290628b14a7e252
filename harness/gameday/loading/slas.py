"""SLA files: what documents promise, each promise with the words that it was made in."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from gameday.errors import ScenarioError
from gameday.loading.document import expand, read_node
from gameday.loading.filling import fill
from gameday.loading.forms import Column, Item, annotated, choice, columns, shaped
from gameday.loading.source import Source
from gameday.loading.words import complain_of_limit
from gameday.model.scenario import Sla, Vocabulary
from gameday.model.units import LIMITS, Limit, Unit

__all__ = ["load_slas"]

_SEVERITIES = Literal["blocker", "critical", "normal", "minor", "trivial"]
_BESIDE = ("title", "section", "quote", "severity")


@dataclass(frozen=True, kw_only=True)
class _SlaFile:
    """The keys of an SLA file."""

    slas: str
    document: str
    title: str = ""
    promises: Mapping[str, Item]


def load_slas(source: Path | Iterable[Path], vocabulary: Vocabulary) -> dict[str, Sla]:
    """Return the promises of files, or of all files in a folder, by names like "arbees/mttr".

    Raises ScenarioError with all problems of all files.
    """
    if isinstance(source, Path):
        paths = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
    else:
        paths = list(source)
    slas: dict[str, Sla] = {}
    problems: list[str] = []
    for path in paths:
        try:
            slas |= _load(path, vocabulary, slas)
        except ScenarioError as error:
            problems.append(str(error))
    if problems:
        raise ScenarioError("\n".join(problems))
    return slas


def _load(path: Path, vocabulary: Vocabulary, known: Mapping[str, Sla]) -> dict[str, Sla]:
    source = expand(path, read_node(path))
    file = fill(_form(tuple(vocabulary.findings.items())), source, _SlaFile, apart=("promises",))
    slas = {}
    for name, promise in (file.promises or {}).items():
        _check(source, name, promise, vocabulary)
        values = promise.values
        limit = values["limit"]
        assert isinstance(limit, Limit)
        sla = Sla(
            name=f"{file.slas}/{name}",
            finding=promise.word,
            limit=limit,
            document=file.document,
            **{key: str(values[key]) for key in _BESIDE},
        )
        if sla.name in known:
            source.complain(("promises", name), "another file promises the same name", at_key=True)
        slas[sla.name] = sla
    source.refuse_if_wrong()
    return slas


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
        Mapping[str, choice("finding", words, beside)],  # type: ignore[misc]
        Field(min_length=1),
    )
    return shaped(_SlaFile, {"promises": promises})
