"""The text of a YAML file becomes safe nodes, or an error in the file's own words.

libyaml parses where PyYAML has it, ten times as fast. What it rejects is parsed again by PyYAML's
own parser, which decides, so that messages are the same everywhere.
"""

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

import yaml

from gameday.errors import ScenarioError
from gameday.loading.source import refuse

__all__ = [
    "BAD_SCALAR",
    "SUFFIXES",
    "is_merge",
    "is_scenario",
    "mark_of",
    "read_node",
    "read_text",
    "top_level",
]

Read = TypeVar("Read")

SUFFIXES = (".yaml", ".yml")
_LARGEST_BYTES = 256 * 1024
_DEEPEST = 40
# What YAML's own code raises for text that looks like a number and is none, or is far too long.
BAD_SCALAR = (ValueError, OverflowError, KeyError, IndexError)
_MERGE = "tag:yaml.org,2002:merge"
_BLOCK = "'>' begins a block of text in YAML; put a text that begins with '>' in quotes"
_PLAINLY = {
    "while scanning a block scalar": _BLOCK,
    "found character '>'": _BLOCK,
    "found character '\\t'": "a tab is used here; indent with spaces",
    "found character '`'": "a text cannot begin with '`' unless it is in quotes",
    "found character '@'": "a text cannot begin with '@' unless it is in quotes",
    "found character '%'": "a text cannot begin with '%' unless it is in quotes",
    "found unexpected end of stream": "a quote is opened and never closed",
    "mapping values are not allowed here": (
        "a second ': ' in one line, or a key indented differently from its siblings; "
        "put a text with ': ' in quotes"
    ),
    "could not find expected ':'": "a line of keys has no ':' after its key",
    "expected ',' or ']'": "a list in brackets is not closed, or lacks a comma",
    "expected ',' or '}'": "a mapping in braces is not closed, or lacks a comma",
    "expected <block end>": "a line is indented differently from its siblings",
}
"""What the parser says, and what it means to whoever wrote the file."""
_BEGINS_BEFORE = (
    _PLAINLY["found unexpected end of stream"],
    _PLAINLY["could not find expected ':'"],
    _BLOCK,
)
"""What is wrong where it begins, and noticed by the parser far behind."""
_LIMIT_WITHOUT_QUOTES = re.compile(r">\s*=?\s*[0-9][0-9.]*\s*[%\w]*")
_READ_OTHERWISE = re.compile("[\t\ufeff\x85\u2028\u2029?]|:\\s+(?:#[^\r\n]*[\r\n]\\s*)*[],}]")
"""What libyaml takes where PyYAML does not, or counts otherwise in its columns.

The last is a key without a value in brackets or braces: libyaml takes the place of the next token.
"""
_SAYS_SCENARIO = re.compile(r"""^\s*["']?scenario["']?\s*:""", re.MULTILINE)


class _Composing(yaml.composer.Composer):
    """Composes the nodes of a parser's events to a bounded depth."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            event = self.peek_event()  # type: ignore[attr-defined]
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {_DEEPEST} levels", event.start_mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def next_is(self, kind: type[yaml.Event]) -> bool:
        return bool(self.check_event(kind))  # type: ignore[attr-defined]

    def take(self) -> object:
        return self.get_event()  # type: ignore[attr-defined]


class _Loader(_Composing, yaml.SafeLoader):
    """PyYAML's own parser."""


_FAST: Callable[[str], _Composing] | None = None
if yaml.__with_libyaml__:

    class _FastLoader(_Composing, yaml.CSafeLoader):
        """The events of libyaml, composed here: its own composer has no depth limit."""

        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            yaml.composer.Composer.__init__(self)

    _FAST = _FastLoader


def read_text(path: Path) -> str:
    """Return the text of a file; ScenarioError when it is no UTF-8 file of sensible size."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            refuse(path, "is not a file")
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        refuse(path, f"cannot be read: {error.strerror or error}")
    except ValueError as error:
        refuse(path, f"cannot be read: {error}")
    if len(content) > _LARGEST_BYTES:
        refuse(path, f"is larger than {_LARGEST_BYTES // 1024} KiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        refuse(path, f"byte 0x{content[error.start]:02x} is not UTF-8", _position(before))


def read_node(path: Path) -> yaml.MappingNode:
    """Return the top mapping of a file; ScenarioError when there is none."""
    node = _read(path, read_text(path), _only_node)
    if node is None:
        refuse(path, "is empty")
    if not isinstance(node, yaml.MappingNode):
        refuse(path, "has no keys; write 'key: value' lines", mark_of(node))
    return node


def top_level(path: Path, key: str) -> yaml.Node | None:
    """Return the value of one top key, without parsing what stands after it."""

    def find(loader: _Composing) -> yaml.Node | None:
        merged: yaml.Node | None = None
        for name, value in _top_entries(loader):
            if is_merge(name):
                merged = merged or _in_merged(value, key)
            elif isinstance(name, yaml.ScalarNode) and name.value == key:
                return value
        return merged

    return _read(path, read_text(path), find)


def is_scenario(path: Path) -> bool:
    """Tell whether a file has a top-level key `scenario`, or was meant to have one."""
    try:
        return top_level(path, "scenario") is not None
    except ScenarioError:
        # What cannot be read is to be told by who reads it whole, if it is a scenario at all.
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                return _SAYS_SCENARIO.search(file.read(_LARGEST_BYTES)) is not None
        except (OSError, ValueError):
            return False


def is_merge(name: yaml.Node | None) -> bool:
    """Tell whether a key is the `<<` that merges other mappings."""
    return name is not None and bool(name.tag == _MERGE)


def _only_node(loader: _Composing) -> yaml.Node | None:
    return loader.get_single_node()


def _top_entries(loader: _Composing) -> Iterator[tuple[yaml.Node | None, yaml.Node | None]]:
    while not loader.next_is(yaml.MappingStartEvent):
        if not isinstance(loader.take(), yaml.StreamStartEvent | yaml.DocumentStartEvent):
            return
    loader.take()
    while not loader.next_is(yaml.MappingEndEvent):
        yield loader.compose_node(None, 0), loader.compose_node(None, 0)


def _in_merged(value: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return what a key is in mappings that are merged, of which the first one counts."""
    parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
    for part in parts:
        entries: list[tuple[yaml.Node, yaml.Node]] = getattr(part, "value", [])
        for name, inner in entries if isinstance(part, yaml.MappingNode) else ():
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return inner
    return None


def _read(path: Path, text: str, use: Callable[[_Composing], Read]) -> Read:
    """Return what `use` makes of the nodes of a text; ScenarioError when it is not YAML."""
    if _FAST is not None and not _READ_OTHERWISE.search(text):
        with suppress(yaml.YAMLError, *BAD_SCALAR):
            return use(_FAST(text))
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        refuse(
            path,
            f"the character U+{ord(text[error.position]):04X} is not allowed in YAML",
            _position(text[: error.position]),
        )
    try:
        return use(loader)
    except (yaml.YAMLError, *BAD_SCALAR) as error:
        _refuse_yaml(path, text, loader, error)


def _refuse_yaml(path: Path, text: str, loader: _Loader, error: Exception) -> NoReturn:
    """Raise ScenarioError with what the parser says, on one line and plainly where it can be."""
    mark = getattr(error, "problem_mark", None) or loader.get_mark()
    said = [getattr(error, "context", None), getattr(error, "problem", None)]
    # Errors without such words are Python's own, of a character or number that cannot be.
    words = ", ".join(str(part) for part in said if part) or "an impossible character or number"
    words = re.sub(r"\s+", " ", words)
    words = next((plain for part, plain in _PLAINLY.items() if part in words), words)
    if words in _BEGINS_BEFORE:
        mark = getattr(error, "context_mark", None) or mark
    limit = _LIMIT_WITHOUT_QUOTES.match(text, mark.index)
    if words == _BLOCK and limit is not None:
        words = f'{_BLOCK}: "{limit[0].strip()}"'
    refuse(path, f"is not YAML: {words}", (mark.line + 1, mark.column + 1))


def mark_of(node: yaml.Node) -> tuple[int, int]:
    """Return the line and the column of a node, from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
