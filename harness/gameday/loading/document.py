"""YAML files are read as safe nodes: nothing is executed, and everything keeps its position."""

import re
import stat
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import yaml

from gameday.loading.source import Plain, Source, Spot, Where, is_text, quoted, refuse

__all__ = ["Substitute", "expand", "read_node", "read_text", "top_level"]

Substitute = Callable[[str], tuple[str, list[str], str]]
"""Puts parameters into a text; also returns what was wrong with it, and where they come from."""

_LARGEST_BYTES = 256 * 1024
_DEEPEST = 40
_MOST_VALUES = 10_000
_MOST_CHARACTERS = 1_000_000

_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = {_CORE + name for name in ("str", "timestamp", "value", "merge")}
_SCALARS = yaml.constructor.SafeConstructor()
_RESOLVER = yaml.resolver.Resolver()
# What YAML's own code raises for text that looks like a number and is none, or is far too long.
_BAD_SCALAR = (ValueError, OverflowError, KeyError, IndexError)
_PLAINLY = {
    "found character '\\t'": "a tab stands here; indent with spaces",
    "found character '`'": "a text cannot begin with '`' unless it is in quotes",
    "found character '@'": "a text cannot begin with '@' unless it is in quotes",
    "found character '%'": "a text cannot begin with '%' unless it is in quotes",
    "found unexpected end of stream": "a quote is opened and never closed",
    "mapping values are not allowed here": (
        "a second ': ' in one line, or a key that is indented otherwise than those beside it; "
        "put a text with ': ' in quotes"
    ),
    "could not find expected ':'": "a line of keys has no ':' after its key",
    "expected ',' or ']'": "a list in brackets is not closed, or lacks a comma",
    "expected ',' or '}'": "a mapping in braces is not closed, or lacks a comma",
    "expected <block end>": "a line is indented otherwise than those beside it",
}
"""What the parser says, and what it means to whoever wrote the file."""
_BEGINS_BEFORE = (
    _PLAINLY["found unexpected end of stream"],
    _PLAINLY["could not find expected ':'"],
)
"""What is wrong where it begins, and noticed by the parser far behind."""


class _Loader(yaml.SafeLoader):
    """Composes nodes to a bounded depth."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {_DEEPEST} levels", event.start_mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def next_is(self, kind: type[yaml.Event]) -> bool:
        return bool(self.check_event(kind))

    def take(self) -> object:
        return self.get_event()  # type: ignore[no-untyped-call]


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
    text = read_text(path)
    loader = _open(path, text)
    try:
        node = loader.get_single_node()
    except (yaml.YAMLError, *_BAD_SCALAR) as error:
        _refuse_yaml(path, loader, error)
    if node is None:
        refuse(path, "is empty")
    if not isinstance(node, yaml.MappingNode):
        refuse(path, "has no keys; write 'key: value' lines", _mark(node))
    return node


def top_level(path: Path, key: str) -> yaml.Node | None:
    """Return the value of one top key, without parsing what stands after it."""
    text = read_text(path)
    loader = _open(path, text)
    try:
        while not loader.next_is(yaml.MappingStartEvent):
            if not isinstance(loader.take(), yaml.StreamStartEvent | yaml.DocumentStartEvent):
                return None
        loader.take()
        while not loader.next_is(yaml.MappingEndEvent):
            name = loader.compose_node(None, 0)
            value = loader.compose_node(None, 0)
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return value
    except (yaml.YAMLError, *_BAD_SCALAR) as error:
        _refuse_yaml(path, loader, error)
    return None


def expand(
    path: Path,
    node: yaml.Node,
    *,
    substitute: Substitute | None = None,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    as_text: bool = False,
) -> Source:
    """Return the plain data under `node` with its positions; aliases and merges are resolved.

    `only` and `without` choose among the keys of the top; `as_text` keeps numbers as written.
    """
    expansion = _Expansion(path, substitute, only, without, as_text)
    expansion.source.plain = expansion.value(node, (), None)
    return expansion.source


class _Expansion:
    """One walk over the nodes, with a bound on what aliases may multiply it to."""

    def __init__(
        self,
        path: Path,
        substitute: Substitute | None,
        only: Collection[str] | None,
        without: Collection[str],
        as_text: bool,
    ) -> None:
        self.source = Source(path)
        self._substitute = substitute
        self._only = only
        self._without = without
        self._as_text = as_text
        self._open: set[int] = set()
        self._values = 0
        self._characters = 0

    def value(self, node: yaml.Node, where: Where, key: tuple[int, int] | None) -> Plain:
        self._count(node, 0)
        spot = Spot(value=_mark(node), key=key)
        self.source.spots[where] = spot
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, where, spot)
        if id(node) in self._open:
            refuse(self.source.path, "an alias stands inside what it names", _mark(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self._refuse_tag(node, "seq", where)
                return [self.value(item, (*where, i), None) for i, item in enumerate(node.value)]
            assert isinstance(node, yaml.MappingNode)
            self._refuse_tag(node, "map", where)
            return self._mapping(node, where)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, where: Where) -> Plain:
        entries = self._entries(node, where)
        if not where:
            entries = {
                key: entry
                for key, entry in entries.items()
                if (self._only is None or key in self._only) and key not in self._without
            }
        return {
            key: self.value(value, (*where, key), _mark(name))
            for key, (name, value) in entries.items()
        }

    def _entries(
        self, node: yaml.MappingNode, where: Where
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return the keys of a mapping, its own before those that it merges."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for name, value in node.value:
            if name.tag == _CORE + "merge":
                merged.extend(value.value if isinstance(value, yaml.SequenceNode) else [value])
                continue
            key = self._key(name, where)
            if key in own:
                first = _mark(own[key][0])
                self._complain(
                    name, (*where, key), f"stands here twice; the first is in line {first[0]}"
                )
            elif key is not None:
                own[key] = (name, value)
        for part in merged:
            self._merge(part, where, own)
        return own

    def _merge(
        self, part: yaml.Node, where: Where, own: dict[str, tuple[yaml.Node, yaml.Node]]
    ) -> None:
        if not isinstance(part, yaml.MappingNode):
            self._complain(part, (*where, "<<"), "can only merge mappings")
            return
        # Merges are not values, so their circles and their number are watched here.
        marker = -id(part)
        if marker in self._open:
            refuse(self.source.path, "an alias stands inside what it names", _mark(part))
        self._open.add(marker)
        self._count(part, 0)
        for key, entry in self._entries(part, where).items():
            self._count(part, 0)
            own.setdefault(key, entry)
        self._open.discard(marker)

    def _key(self, node: yaml.Node, where: Where) -> str | None:
        """Return the key as it is written: `on`, `1` and `2s` are the same kind of word here."""
        standard = isinstance(node, yaml.ScalarNode) and node.tag.startswith(_CORE)
        if not standard or not is_text(node.value):
            self._complain(node, where, "a key must be plain text")
            return None
        self._count(node, len(node.value))
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, where: Where, spot: Spot) -> Plain:
        text, tag = str(node.value), node.tag
        if self._substitute is not None and "${" in text:
            text, wrong, origin = self._substitute(text)
            for complaint in wrong:
                self._complain(node, where, complaint)
            plain = node.style is None
            tag = str(
                _RESOLVER.resolve(yaml.ScalarNode, text, (plain, not plain))  # type: ignore[no-untyped-call]
            )
            spot = replace(spot, spoilt=bool(wrong), origin=origin)
        self._count(node, len(text))
        self.source.spots[where] = replace(spot, text=text)
        if not is_text(text):
            self._spoil(node, where, "holds half of a character")
            return None
        if tag == _CORE + "null":
            return None
        if tag in _TEXT_TAGS or (self._as_text and tag.startswith(_CORE)):
            return text
        return self._number(yaml.ScalarNode(tag, text), node, where)

    def _number(self, scalar: yaml.ScalarNode, node: yaml.ScalarNode, where: Where) -> Plain:
        result: int | float | bool
        try:
            match scalar.tag.removeprefix(_CORE):
                case "int":
                    result = _SCALARS.construct_yaml_int(scalar)
                    str(result)  # Python refuses to write numbers of thousands of digits.
                case "float":
                    result = _SCALARS.construct_yaml_float(scalar)
                case "bool":
                    result = _SCALARS.construct_yaml_bool(scalar)
                case _:
                    self._spoil(node, where, f"the tag {quoted(scalar.tag)} is not allowed")
                    return None
        except _BAD_SCALAR:
            self._spoil(node, where, f"{quoted(scalar.value)} is not a number")
            return None
        return result

    def _spoil(self, node: yaml.Node, where: Where, text: str) -> None:
        self._complain(node, where, text)
        self.source.spots[where] = replace(self.source.spots[where], spoilt=True)

    def _refuse_tag(self, node: yaml.Node, usual: str, where: Where) -> None:
        if node.tag != _CORE + usual:
            self._spoil(node, where, f"the tag {quoted(node.tag)} is not allowed")

    def _complain(self, node: yaml.Node, where: Where, text: str) -> None:
        self.source.complain_at(_mark(node), where, text)

    def _count(self, node: yaml.Node, characters: int) -> None:
        self._values += 1
        self._characters += characters
        if self._values > _MOST_VALUES or self._characters > _MOST_CHARACTERS:
            refuse(
                self.source.path,
                f"is larger than {_MOST_VALUES} values or {_MOST_CHARACTERS} characters "
                "once its aliases and parameters are put in",
                _mark(node),
            )


def _open(path: Path, text: str) -> _Loader:
    try:
        return _Loader(text)
    except yaml.reader.ReaderError as error:
        refuse(
            path,
            f"the character U+{ord(text[error.position]):04X} is not allowed in YAML",
            _position(text[: error.position]),
        )


def _refuse_yaml(path: Path, loader: _Loader, error: Exception) -> NoReturn:
    """Raise ScenarioError with what the parser says, on one line and plainly where it can be."""
    mark = getattr(error, "problem_mark", None) or loader.get_mark()
    said = [getattr(error, "context", None), getattr(error, "problem", None)]
    # Errors without such words are Python's own, of a character or number that cannot be.
    words = ", ".join(str(part) for part in said if part) or "an impossible character or number"
    words = re.sub(r"\s+", " ", words)
    words = next((plain for part, plain in _PLAINLY.items() if part in words), words)
    if words in _BEGINS_BEFORE:
        mark = getattr(error, "context_mark", None) or mark
    refuse(path, f"is not YAML: {words}", (mark.line + 1, mark.column + 1))


def _mark(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
