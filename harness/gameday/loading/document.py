"""YAML files are read as safe nodes: nothing is executed, and everything keeps its position."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import yaml

from gameday.loading.parsing import BAD_SCALAR, is_merge, mark_of
from gameday.loading.source import Plain, Source, Spot, Where, quoted, refuse, unwritable

__all__ = ["Substitute", "expand"]

Substitute = Callable[[str], tuple[str, list[str], str]]
"""Puts parameters into a text; also returns what was wrong with it, and where they come from."""

_MOST_VALUES = 10_000
_MOST_CHARACTERS = 1_000_000

_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = {_CORE + name for name in ("str", "timestamp", "value", "merge")}
_SCALARS = yaml.constructor.SafeConstructor()
_RESOLVER = yaml.resolver.Resolver()


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
    """One walk over the nodes, with a limit on how much aliases may multiply them."""

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
        spot = Spot(value=mark_of(node), key=key)
        self.source.spots[where] = spot
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, where, spot)
        if id(node) in self._open:
            refuse(self.source.path, "an alias refers to a value that contains it", mark_of(node))
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
            key: self.value(value, (*where, key), mark_of(name))
            for key, (name, value) in entries.items()
        }

    def _entries(
        self, node: yaml.MappingNode, where: Where
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return the keys of a mapping, its own before those that it merges."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for name, value in node.value:
            if is_merge(name):
                merged.extend(value.value if isinstance(value, yaml.SequenceNode) else [value])
                continue
            key = self._key(name, where)
            if key in own:
                first = mark_of(own[key][0])
                self._complain(name, (*where, key), f"is repeated; the first is on line {first[0]}")
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
            refuse(self.source.path, "an alias refers to a value that contains it", mark_of(part))
        self._open.add(marker)
        self._count(part, 0)
        for key, entry in self._entries(part, where).items():
            self._count(part, 0)
            own.setdefault(key, entry)
        self._open.discard(marker)

    def _key(self, node: yaml.Node, where: Where) -> str | None:
        """Return the key as it is written: `on`, `1` and `2s` are the same kind of word here."""
        standard = isinstance(node, yaml.ScalarNode) and node.tag.startswith(_CORE)
        if not standard or unwritable(node.value):
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
            plain = not node.style  # libyaml says '', PyYAML None
            tag = str(
                _RESOLVER.resolve(yaml.ScalarNode, text, (plain, not plain))  # type: ignore[no-untyped-call]
            )
            spot = replace(spot, spoilt=bool(wrong), origin=origin)
        self._count(node, len(text))
        self.source.spots[where] = replace(spot, text=text)
        if why := unwritable(text):
            self._spoil(node, where, why)
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
        except BAD_SCALAR:
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
        self.source.complain_at(mark_of(node), where, text)

    def _count(self, node: yaml.Node, characters: int) -> None:
        self._values += 1
        self._characters += characters
        if self._values > _MOST_VALUES or self._characters > _MOST_CHARACTERS:
            refuse(
                self.source.path,
                f"is larger than {_MOST_VALUES} values or {_MOST_CHARACTERS} characters "
                "once its aliases and parameters are put in",
                mark_of(node),
            )
