"""Which scenario files a selector means: names, globs, tags, paths, or a comma list of these."""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from gameday.errors import ScenarioError
from gameday.loading.document import top_level
from gameday.loading.source import one_of, refuse

__all__ = ["find_scenarios"]

_TAG = "tag:"


def find_scenarios(selector: str, folders: Sequence[Path]) -> list[Path]:
    """Return the files that the selector means, each once, in the order of the selector.

    A scenario's name is its file's stem; where two folders have it, the first folder counts.
    Raises ScenarioError for every part of the selector that means nothing.
    """
    named = _named(folders)
    tags: dict[str, list[Path]] | None = None
    found: dict[Path, None] = {}
    problems: list[str] = []
    parts = [part.strip() for part in selector.split(",") if part.strip()]
    for part in parts:
        if part.startswith(_TAG):
            tags = _tagged(named) if tags is None else tags
        try:
            found |= dict.fromkeys(_meant(part, named, tags or {}, folders))
        except ScenarioError as error:
            problems.append(str(error))
    if not parts:
        problems.append("no scenario is named" + one_of("", tuple(named)))
    if problems:
        raise ScenarioError("\n".join(problems))
    return list(found)


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            named.setdefault(path.stem, path)
    return dict(sorted(named.items()))


def _meant(
    part: str, named: Mapping[str, Path], tags: Mapping[str, list[Path]], folders: Sequence[Path]
) -> list[Path]:
    where = f" in {', '.join(str(folder) for folder in folders)}"
    if part.startswith(_TAG):
        tag = part.removeprefix(_TAG).strip()
        if tag not in tags:
            raise ScenarioError(f"no scenario{where} has the tag {tag!r}{one_of(tag, tuple(tags))}")
        return tags[tag]
    if "/" in part or part.endswith((".yaml", ".yml")):
        path = Path(part)
        # Path.is_file raises for a name that no file can have.
        if not os.path.isfile(part):  # noqa: PTH113
            raise ScenarioError(f"no scenario file {part!r}{one_of(path.stem, tuple(named))}")
        return [path]
    if any(character in part for character in "*?["):
        matches = [path for name, path in named.items() if fnmatchcase(name, part)]
        if not matches:
            raise ScenarioError(f"no scenario{where} matches {part!r}{one_of(part, tuple(named))}")
        return matches
    if part not in named:
        raise ScenarioError(f"no scenario {part!r}{where}{one_of(part, tuple(named))}")
    return [named[part]]


def _tagged(named: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Return the files of each tag; ScenarioError when a file's tags cannot be read."""
    tagged: dict[str, list[Path]] = {}
    problems: list[str] = []
    for path in named.values():
        try:
            for tag in _tags(path):
                tagged.setdefault(tag, []).append(path)
        except ScenarioError as error:
            # A file that is left out because it cannot be read would be a test that nobody misses.
            problems.append(str(error))
    if problems:
        raise ScenarioError("\n".join(problems))
    return dict(sorted(tagged.items()))


def _tags(path: Path) -> list[str]:
    node = top_level(path, "tags")
    if node is None:
        return []
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for item in items:
        if not isinstance(item, yaml.ScalarNode) or item is node:
            mark = item.start_mark
            refuse(path, "tags: wanted a list of names", (mark.line + 1, mark.column + 1))
    return [str(item.value) for item in items]
