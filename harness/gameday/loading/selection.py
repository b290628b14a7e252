"""Which scenario files a selector means: names, globs, tags, paths, or a comma list of these."""

import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from gameday.errors import ScenarioError
from gameday.loading.parsing import SUFFIXES, mark_of, top_level
from gameday.loading.source import composed, one_of, quoted, refuse

__all__ = ["find_scenarios", "yaml_files"]

_TAG = "tag:"
_BUNDLED = "bundled:"


def find_scenarios(
    selector: str, folders: Sequence[Path], bundled: Path | None = None
) -> list[Path]:
    """Return the files that the selector means, each once, in the order of the selector.

    A scenario's name is its file's stem; where two folders have it, the first folder counts.
    `bundled` is the folder of those that come with gameday. Where `folders` have any scenario,
    globs and tags mean these alone, and a bundled one is meant by its name or by "bundled:*".
    Raises ScenarioError for every part of the selector that means nothing.
    """
    choice = _Choice(folders, bundled)
    found: dict[Path, None] = {}
    problems: list[str] = []
    parts = [part.strip() for part in selector.split(",") if part.strip()]
    for part in parts:
        try:
            found |= dict.fromkeys(choice.meant(composed(part), part))
        except ScenarioError as error:
            problems += error.problems
    if not parts:
        problems.append("no scenario is named" + one_of("", tuple(choice.every.named)))
    if problems:
        raise ScenarioError(*problems)
    return list(found)


def yaml_files(folder: Path) -> list[Path]:
    """Return the YAML files that stand in a folder, in the order of their names."""
    return sorted(path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}"))


class _Choice:
    """The scenarios to choose among: all of them, and those that are meant by a pattern."""

    def __init__(self, folders: Sequence[Path], bundled: Path | None) -> None:
        own = _Scenarios(folders)
        given = () if bundled is None else (bundled,)
        self.every = _Scenarios([*folders, *given])
        self._bundled = _Scenarios(given)
        self._usual = own if own.named else self.every

    def meant(self, part: str, written: str) -> list[Path]:
        """Return what one part of a selector means, which was `written` so."""
        among = self._usual
        if part.startswith(_BUNDLED):
            part, among = part.removeprefix(_BUNDLED).strip(), self._bundled
        elif _is_path(part):
            return self._at(written)
        if part.startswith(_TAG):
            return among.tagged(part.removeprefix(_TAG).strip(), self._also(part, among))
        if any(character in part for character in "*?["):
            return among.matching(part, self._also(part, among))
        if among is self._usual:
            among = self.every
            if part not in among.named and os.path.isdir(written):  # noqa: PTH112
                return self._at(written)
        return [among.called(part)]

    def _also(self, part: str, among: "_Scenarios") -> str:
        """Return how the bundled ones would be meant, where they are not."""
        if among is not self._usual or among is self.every or not self._bundled.named:
            return ""
        return f"; for those that come with gameday write '{_BUNDLED}{part}'"

    def _at(self, written: str) -> list[Path]:
        """Return the file of a path, or those in its folder, without links or `..` in between."""
        path = Path(os.path.abspath(written)) if "\0" not in written else None  # noqa: PTH100
        for known in () if path is None else (path, _spelled_otherwise(path)):
            # Path.is_file raises for a name that no file can have.
            if os.path.isdir(known) and (files := yaml_files(known)):  # noqa: PTH112
                return files
            if os.path.isfile(known):  # noqa: PTH113
                return [known]
        if path is not None and os.path.isdir(path):  # noqa: PTH112
            raise ScenarioError(f"no scenario file is in the folder {quoted(written)}")
        near = one_of(Path(written).stem, tuple(self.every.named))
        raise ScenarioError(f"no scenario file {quoted(written)}{near}")


class _Scenarios:
    """The scenarios of some folders by name."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._tags: dict[str, list[Path]] | None = None
        self._twice: dict[str, list[Path]] = {}
        named: dict[str, Path] = {}
        for folder in self._folders:
            here: dict[str, list[Path]] = {}
            for path in yaml_files(folder):
                here.setdefault(composed(path.stem), []).append(path)
            for name, paths in here.items():
                if name not in named and len(paths) > 1:
                    self._twice[name] = paths
                named.setdefault(name, paths[0])
        self.named: Mapping[str, Path] = dict(sorted(named.items()))

    @property
    def _where(self) -> str:
        return f" in {', '.join(str(folder) for folder in self._folders)}"

    def called(self, name: str) -> Path:
        if name not in self.named:
            near = one_of(name, tuple(self.named))
            raise ScenarioError(f"no scenario {quoted(name)}{self._where}{near}")
        if name in self._twice:
            files = ", ".join(path.name for path in self._twice[name])
            raise ScenarioError(f"the scenario {quoted(name)} has two files, {files}; rename one")
        return self.named[name]

    def matching(self, pattern: str, also: str) -> list[Path]:
        found = [self.called(name) for name in self.named if fnmatchcase(name, pattern)]
        if not found:
            near = one_of(pattern, tuple(self.named))
            raise ScenarioError(f"no scenario{self._where} matches {quoted(pattern)}{near}{also}")
        return found

    def tagged(self, tag: str, also: str) -> list[Path]:
        if self._tags is None:
            self._tags = _by_tag(self.named.values())
        if tag not in self._tags:
            near = one_of(tag, tuple(self._tags))
            raise ScenarioError(f"no scenario{self._where} has the tag {quoted(tag)}{near}{also}")
        return self._tags[tag]


def _is_path(part: str) -> bool:
    return "/" in part or part.endswith(SUFFIXES) or part in (".", "..")


def _spelled_otherwise(path: Path) -> Path:
    """Return the path as the disk spells it: `é` may be one character there, or two."""
    spelled = Path(path.anchor)
    for part in path.parts[1:]:
        there = spelled / part
        if not os.path.lexists(there) and os.path.isdir(spelled):  # noqa: PTH112
            names = (name for name in os.listdir(spelled) if composed(name) == composed(part))  # noqa: PTH208
            there = spelled / next(names, part)
        spelled = there
    return spelled


def _by_tag(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the files of each tag; ScenarioError when a file's tags cannot be read."""
    tagged: dict[str, list[Path]] = {}
    problems: list[str] = []
    for path in paths:
        try:
            for tag in _tags(path):
                tagged.setdefault(composed(tag), []).append(path)
        except ScenarioError as error:
            # A file that is left out because it cannot be read would be a test that nobody misses.
            problems += error.problems
    if problems:
        raise ScenarioError(*problems)
    return dict(sorted(tagged.items()))


def _tags(path: Path) -> list[str]:
    node = top_level(path, "tags")
    if node is None:
        return []
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for item in items:
        if not isinstance(item, yaml.ScalarNode) or item is node:
            refuse(path, "tags: wanted a list of names", mark_of(item))
    return [str(item.value) for item in items]
