"""pydantic fills the forms; its errors are reported in the words of the file."""

import functools
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from gameday.loading.schema_types import Choice, key_of, partial, shaped
from gameday.loading.source import Plain, Source, Where, nearest, one_of
from gameday.model.invalid_parameter import InvalidParameter
from gameday.model.unit_text import UnitText

__all__ = ["fill"]

Form = TypeVar("Form")

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "mapping_type": "a mapping of keys",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
}


def _anything(_: Where) -> str:
    return ""


def fill(
    form: type,
    source: Source,
    as_a: type[Form],
    *,
    apart: Collection[str] = (),
    parts: Collection[str] = (),
    wanted: Callable[[Where], str] = _anything,
) -> Form:
    """Return the form filled from the source; what is wrong is complained about.

    So that everything else can still be judged, top keys with a problem are None in what is
    returned. Of the top keys in `apart` only the wrong entries are missing: None in a list, absent
    in a mapping. Of those in `parts`, mappings whose keys are known, only the wrong keys are None.
    `wanted` says what is wanted in a place, where its type alone does not tell.
    """
    assert isinstance(source.plain, dict)
    try:
        return _validated(form, source.plain, as_a)
    except ValidationError as error:
        wrong = _explain(form, source, error, wanted)
    rest = dict(source.plain)
    for where in wrong:
        top = str(where[0])
        value = rest.get(top)
        if top in apart and len(where) > 1 and isinstance(value, list):
            rest[top] = [None if i == where[1] else entry for i, entry in enumerate(value)]
        elif top in apart and len(where) > 1 and isinstance(value, dict) and len(value) > 1:
            rest[top] = {key: entry for key, entry in value.items() if key != where[1]}
        elif top in parts and len(where) > 1 and isinstance(value, dict):
            known = _keys(get_type_hints(form)[top])
            judged = {key: entry for key, entry in value.items() if key in known}
            rest[top] = {**judged, str(where[1]): None} if where[1] in known else judged
        else:
            rest.pop(top, None)
    return _validated(_incomplete(form, frozenset(parts)), rest, as_a)


def _validated(form: type, plain: Mapping[str, Plain], as_a: type[Form]) -> Form:
    # As JSON, because pydantic is then strict about types and yet takes a list for a tuple.
    filled = _adapter(form).validate_json(json.dumps(plain))
    assert isinstance(filled, as_a)
    return filled


@functools.lru_cache(maxsize=16)
def _adapter(form: type) -> TypeAdapter[object]:
    return TypeAdapter(form)


@functools.lru_cache(maxsize=16)
def _incomplete(form: type, parts: frozenset[str]) -> type:
    hints = get_type_hints(form, include_extras=True)
    lacking = {part: partial(hints[part]) for part in parts}
    return shaped(form, lacking, incomplete=True)


def _explain(
    form: type, source: Source, error: ValidationError, wanted: Callable[[Where], str]
) -> list[Where]:
    """Complain about every error, and return where they are."""
    places = [(_place(form, entry["loc"]), entry) for entry in error.errors(include_url=False)]
    found = [place.where for place, _ in places]
    # Wrong items are not counted by pydantic: it then thinks that the list is too short.
    places = [
        (place, entry)
        for place, entry in places
        if entry["type"] != "too_short" or not any(_is_below(other, place.where) for other in found)
    ]
    for place, entry in places:
        spot = source.spots.get(place.where)
        if spot is not None and spot.spoilt:
            continue
        if place.choice is not None and place.where[-1:] == ("wordless",):
            _tell_word(source, place.where[:-1], place.choice)
        else:
            context = cast("Mapping[str, object]", entry.get("ctx", {}))
            if isinstance(invalid := context.get("error"), InvalidParameter):
                source.complain_of_invalid(place.where, invalid.misfits)
                continue
            text = _text(source, place, str(entry["type"]), entry["input"], context)
            if entry["type"] == "string_type" and (what := wanted(place.where)):
                text = f"{source.seen(place.where, entry['input'])} is given; wanted {what}"
            key = entry["type"] == "unexpected_keyword_argument" or entry["loc"][-1:] == ("[key]",)
            source.complain(place.where, text or str(entry["msg"]), at_key=key)
    return [place.where for place, _ in places]


def _is_below(where: Where, other: Where) -> bool:
    return len(where) > len(other) and where[: len(other)] == other


@dataclass(frozen=True, slots=True)
class _Place:
    """A path of pydantic's as the file has it, and the types along it."""

    where: Where
    parent: object
    choice: Choice | None
    """The choice that the place is a direct key of."""


def _place(form: object, location: Where) -> _Place:
    where: list[str | int] = []
    kind, parent, choice = form, form, None
    item_depth = -1
    for part in location:
        bare, marks = _bare(kind)
        chosen = next((mark for mark in marks if isinstance(mark, Choice)), None)
        if chosen is not None:
            # This part is the word that pydantic judged the item by: it stands in no file.
            kind = next((k for k in get_args(bare) if _tag(k) == part), object)
            choice, item_depth = chosen, len(where)
        elif part != "[key]":
            where.append(part)
            parent, kind = bare, _inside(bare, part)
    return _Place(tuple(where), parent, choice if len(where) == item_depth + 1 else None)


def _bare(kind: object) -> tuple[object, tuple[object, ...]]:
    if get_origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        return inner, tuple(marks)
    return kind, ()


def _tag(kind: object) -> object:
    return getattr(_bare(kind)[1][-1], "tag", None)


def _keys(kind: object) -> dict[str, object]:
    """Return the keys of a form's dataclass with their types."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return {}
    hints = get_type_hints(kind, include_extras=True)
    keys = {}
    for entry in fields(kind):
        marks = _bare(hints[entry.name])[1]
        aliases = [mark.alias for mark in marks if isinstance(mark, FieldInfo) and mark.alias]
        keys[aliases[0] if aliases else key_of(entry.name)] = hints[entry.name]
    return keys


def _inside(kind: object, part: str | int) -> object:
    """Return the type of what stands under `part` in a value of type `kind`."""
    if get_origin(kind) in (Union, UnionType):
        kind = next((k for k in get_args(kind) if k is not type(None)), object)
    if isinstance(part, str) and _keys(kind):
        return _keys(kind).get(part, object)
    inner = get_args(kind)
    return inner[0 if isinstance(part, int) else -1] if inner else object


def _tell_word(source: Source, where: Where, choice: Choice) -> None:
    """Complain about an item that has none of the words it could be known by."""
    item = source.at(where)
    foreign = [key for key in item if key not in choice.own] if isinstance(item, dict) else []
    if not foreign:
        source.complain(where, f"names no {choice.noun}; valid: {', '.join(choice.words)}")
        return
    meant = next((key for key in foreign if nearest(key, choice.words)), foreign[0])
    text = f"unknown {choice.noun}{one_of(meant, choice.words)}"
    source.complain((*where, meant), text, at_key=True)


def _text(
    source: Source, place: _Place, error: str, value: object, context: Mapping[str, object]
) -> str | None:
    """Return what is wrong, and what would be right."""
    seen = source.seen(place.where, value)
    match error:
        case "missing":
            return "is missing"
        case "unexpected_keyword_argument":
            key = str(place.where[-1])
            if place.choice is not None and key in place.choice.words:
                return f"one {place.choice.noun} an item: this is a second one"
            return f"unknown key{one_of(key, _keys(place.parent))}"
        case "value_error":
            return str(context["error"])
        case "not_unit_text":
            unit, spot = context.get("unit"), source.spots.get(place.where)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            # As it stands there: 010 is 8 to YAML, and to nobody else.
            if number and isinstance(unit, UnitText) and spot is not None and spot.text:
                return f"{seen} {unit.advice(spot.text)}"
            return f"{seen} {context['advice']}"
        case "too_short":
            return "is empty; wanted at least one"
        case "string_type" if isinstance(value, bool | int | float):
            return f'{seen} is not text; write "{seen}" in quotes'
        case "enum" | "literal_error":
            valid = re.findall(r"'([^']*)'", str(context["expected"]))
            return f"{seen} is not valid here{one_of(str(value), valid)}"
        case "string_pattern_mismatch":
            return f"{seen} is not a name; use letters, digits, '-' and '_'"
        case _ if error in _WANTED:
            return f"{seen} is given; wanted {_WANTED[error]}"
        case _:
            return None
