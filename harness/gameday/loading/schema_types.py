"""The forms of files: dataclasses that pydantic fills, with the keys that people write.

A key is the field's name without its unit: `for` fills `for_ns`, `rate` fills `rate_per_s`. An item
of a list such as `faults:` is known by one of its keys, its word: `- kill: store`.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass, replace
from typing import (
    Annotated,
    ClassVar,
    Optional,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import pydantic
from pydantic import BeforeValidator, ConfigDict, Discriminator, PlainValidator, Tag, WithJsonSchema

__all__ = [
    "Choice",
    "Column",
    "Item",
    "Name",
    "Names",
    "annotated",
    "build",
    "choice",
    "columns",
    "item",
    "key_of",
    "partial",
    "shaped",
]

Made = TypeVar("Made")


def key_of(name: str) -> str:
    """Return the key that people write for a field: its name without the unit."""
    return name.removesuffix("_ns").removesuffix("_per_s").removesuffix("_bytes")


Name = Annotated[str, pydantic.Field(pattern=r"^\w[\w.-]{0,59}$")]
"""What tags, parameters and promises are called: they stand in options, labels and file names."""

_CONFIG = ConfigDict(extra="forbid", alias_generator=key_of, strict=True)


def _as_names(value: object) -> object:
    """One name stands for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One name or a list of names."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a form: its name, its type and its default."""

    name: str
    kind: object
    default: object = field(default_factory=lambda: MISSING)
    default_factory: Callable[[], object] | None = None

    def under(self, key: str) -> "Column":
        """Return the column filled from `key`."""
        kind = annotated(self.kind, pydantic.Field(alias=key))
        return Column(self.name, kind, self.default, self.default_factory)

    @property
    def needed(self) -> bool:
        return self.default is MISSING and self.default_factory is None

    @property
    def for_dataclass(self) -> tuple[str, object, object]:
        if self.default_factory is not None:
            return self.name, self.kind, field(default_factory=self.default_factory)
        return self.name, self.kind, field(default=self.default)


def columns(kind: type, *, without: Iterable[str] = ()) -> list[Column]:
    """Return the fields of a dataclass."""
    assert is_dataclass(kind), f"{kind} is to be a dataclass"
    hints = get_type_hints(kind, include_extras=True)
    return [
        Column(
            entry.name,
            hints[entry.name],
            entry.default,
            None if entry.default_factory is MISSING else entry.default_factory,
        )
        for entry in fields(kind)
        if entry.name not in set(without) and entry.init
    ]


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry of a list that is known by its word; its fields come from the vocabulary."""

    word: ClassVar[str]

    @property
    def values(self) -> dict[str, object]:
        """The fields by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, slots=True)
class Choice:
    """The valid words of an item, for the message when it has none of these."""

    noun: str
    words: tuple[str, ...]
    own: frozenset[str]
    """The keys that every such item has beside its word."""


def _never(_value: object) -> object:
    raise ValueError("no word")


def choice(
    noun: str, words: Mapping[str, list[Column]], beside: list[Column], *, strict: bool = False
) -> object:
    """Return the type of an item that has exactly one of the words, and the keys beside it.

    Unless `strict`, an item without a known word is judged by the keys beside it as well.
    """
    kinds = {word: item(word, [*own, *beside], noun) for word, own in words.items()}
    if strict:
        return functools.reduce(operator.or_, kinds.values())
    # Its one more field is never right, so such an item is always complained about.
    never = Column("wordless", Annotated[object, PlainValidator(_never)])
    wordless = item("", [never, *beside], noun)
    wordless.__pydantic_config__ = ConfigDict(**{**_CONFIG, "extra": "ignore"})  # type: ignore[attr-defined]
    kinds[""] = wordless

    def word_of(value: object) -> str:
        return next((key for key in value if key in words), "") if isinstance(value, dict) else ""

    tagged = [annotated(kind, Tag(word)) for word, kind in kinds.items()]
    union = functools.reduce(operator.or_, cast("list[type]", tagged))
    own = frozenset(key_of(column.name) for column in beside)
    return annotated(union, Discriminator(word_of), Choice(noun, tuple(words), own))


def shaped(
    form: type,
    kinds: Mapping[str, object],
    *,
    incomplete: bool = False,
    lacking_nothing: bool = False,
) -> type:
    """Return `form` with the types of some of its fields set.

    An `incomplete` one lacks nothing without its fields, nor without entries of its lists; one that
    is `lacking_nothing` has None for a field without a default.
    """
    own = [
        Column(c.name, kinds.get(c.name, c.kind), c.default, c.default_factory)
        for c in columns(form)
    ]
    if incomplete:
        own = [Column(c.name, _or_none(c.kind), None) for c in own]
    elif lacking_nothing:
        own = [replace(c, default=None) if c.needed else c for c in own]
    made = make_dataclass(
        form.__name__,
        [column.for_dataclass for column in own],
        bases=(form,),
        frozen=True,
        kw_only=True,
    )
    made.__pydantic_config__ = _CONFIG  # type: ignore[attr-defined]
    return made


def partial(form: type) -> object:
    """Return the type of `form` or None whose fields may be None, when what is given is wrong."""
    kinds = {c.name: Optional[c.kind] for c in columns(form)}  # noqa: UP045
    return Optional[shaped(form, kinds, lacking_nothing=True)]  # noqa: UP045


def _or_none(kind: object) -> object:
    """Return the type of a list whose entries may be None; other types stay as they are."""
    if get_origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        return annotated(_or_none(inner), *marks)
    if get_origin(kind) is tuple:
        entry = get_args(kind)[0] | None
        return tuple[entry, ...]  # type: ignore[valid-type]
    return kind


def annotated(kind: object, *marks: object) -> object:
    """Return `kind` with marks; types that are made at run time cannot be spelled for mypy."""
    for mark in marks:
        kind = Annotated[kind, mark]
    return kind


# The arguments come from a file, so no signature can be named for them.
def build(kind: Callable[..., Made], values: Mapping[str, object]) -> Made:  # type: ignore[explicit-any]
    """Return what `kind` makes of values whose types pydantic has checked."""
    return kind(**values)


def item(word: str, own: list[Column], noun: str = "item") -> type:
    """Return the type of the items of that word, with these fields; `noun` tells lists apart."""
    return make_dataclass(
        f"{noun} {word}",
        [column.for_dataclass for column in own],
        bases=(Item,),
        namespace={"word": word},
        frozen=True,
        kw_only=True,
    )
