"""Writes the generated tables of docs/reference from the code: `python docs/generate.py`.

A page is written by hand. A table in it that the code knows better stands between the comments
`<!-- generated: NAME ARGUMENTS -->` and `<!-- end -->`, and is replaced by what the function
`NAME` below returns.
"""

import argparse
import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeGuard, get_args, get_origin

import pytest

from gameday import cli, plugin
from gameday.analysis import FINDINGS
from gameday.api.fault import Fault
from gameday.api.mechanism import Mechanism, Trial
from gameday.cli.doctor.requirements import RUNTIMES
from gameday.cli.doctor.uses import uses
from gameday.engine.planning import scenario_schema, vocabulary
from gameday.loading import target_schema
from gameday.loading.schema_types import key_of
from gameday.model.event import Scalar
from gameday.registry import FAULTS, kinds_of

__all__ = ["BLOCKS", "REFERENCE", "pages", "written"]

REFERENCE = Path(__file__).parent / "reference"
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+)([^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_HITS = {"service": "service", "edge": "connection", "services": "services"}
_BESIDE = ("at", "for", "exposure", "met_by")
_MOST_VALUES = 8
_UNITS = {"ns": "duration", "ratio": "percentage", "count": "count"}

Schema = Mapping[str, object]


def pages() -> list[Path]:
    """Return every page of the reference."""
    return sorted(REFERENCE.rglob("*.md"))


def written(page: Path) -> str:
    """Return a page with its generated tables as the code has them now."""

    def fill(block: re.Match[str]) -> str:
        head, name, arguments, end = block.groups()
        lines = BLOCKS[name](page, arguments.split())
        return "\n".join([f"{head}", *lines, "", end])

    return _BLOCK.sub(fill, page.read_text(encoding="utf-8"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    ]


def _faults(_: Path, verbs: Sequence[str]) -> list[str]:
    """What faults are told by: their keys, with what the class says of each."""
    rows = []
    for verb in verbs:
        schema = _definition(scenario_schema(), f"fault_{verb}")
        told = _told_of(FAULTS[verb])
        rows.append(
            [f"**`{verb}`**", "", "", f"{_summary(FAULTS[verb])} {_kinds(FAULTS[verb])}".strip()]
        )
        for key, shape in _mapping(schema["properties"]).items():
            if key not in (verb, *_BESIDE):
                needed = key in _listed(schema["required"])
                rows.append([f"`{key}`", _kind(shape), _default(shape, needed), told.get(key, "")])
    return _table(("fault, key", "value", "default", "meaning"), rows)


def _fault_index(_: Path, __: Sequence[str]) -> list[str]:
    """Every fault with the page that describes it."""
    rows = []
    for verb, fault in sorted(FAULTS.items()):
        rows.append([f"[`{verb}`]({_page_of(verb)})", _HITS[fault.hits], _summary(fault)])
    return _table(("fault", "hits", "what happens"), rows)


def _page_of(verb: str) -> str:
    for page in sorted((REFERENCE / "faults").glob("*.md")):
        for _, name, arguments, _ in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if name == "faults" and verb in arguments.split():
                return f"faults/{page.name}"
    raise LookupError(f"no page of docs/reference/faults has {verb} in a `generated: faults` block")


def _requirements(_: Path, __: Sequence[str]) -> list[str]:
    """What faults need of a host beyond services and proxies, where every mechanism works."""

    def works(_: Mechanism) -> Trial:
        return Trial(works=True, seen="")

    needs: dict[tuple[str, str], dict[str, str]] = {}
    for runtime in RUNTIMES:
        for use in uses(runtime, works):
            if use.what in FAULTS:
                said = f"refused: {use.refused}" if use.refused else ", ".join(use.by)
                needs.setdefault((use.what, use.when), {})[runtime] = said
    rows = [
        [f"`{verb}`{f', {when}' if when else ''}", *(told.get(name) or "–" for name in RUNTIMES)]
        for (verb, when), told in sorted(needs.items())
        if any(told.values())
    ]
    return _table(("fault", *RUNTIMES), rows)


def _keys(_: Path, arguments: Sequence[str]) -> list[str]:
    """The keys of a part of a file: the file, the name in its schema ("." is the whole), the class.

    Keys that are named after these are left out.
    """
    file, name, path, *without = arguments
    whole = target_schema() if file == "target" else scenario_schema()
    schema = whole if name == "." else _definition(whole, name)
    told = _told_of(_named(path))
    required = _listed(schema.get("required", []))
    rows = [
        [f"`{key}`", _kind(shape), _default(shape, key in required), told.get(key, "")]
        for key, shape in _mapping(schema["properties"]).items()
        if key not in without
    ]
    return _table(("key", "value", "default", "meaning"), rows)


def _fields(_: Path, arguments: Sequence[str]) -> list[str]:
    """The fields of a dataclass as JSON has them, without those that are named after it."""
    path, *without = arguments
    kind = _named(path)
    told = _told_of(kind, keys=False)
    rows = [
        [f"`{field.name}`", _json_kind(field.type), told.get(field.name, "")]
        for field in fields(kind)
        if field.name not in without
    ]
    return _table(("field", "value", "meaning"), rows)


def _findings(page: Path, arguments: Sequence[str]) -> list[str]:
    """Check that the page describes each finding, and list their units."""
    text = page.read_text(encoding="utf-8")
    lacking = [name for name in FINDINGS if f"\n| `{name}` |" not in text]
    if lacking:
        raise LookupError(f"{page.name} does not describe {', '.join(lacking)}")
    units: dict[str, list[str]] = {}
    for name, unit in FINDINGS.items():
        units.setdefault(_UNITS[unit.value], []).append(f"`{name}`")
    return _table(("unit", "findings"), [[unit, ", ".join(names)] for unit, names in units.items()])


def _pytest_options(_: Path, __: Sequence[str]) -> list[str]:
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    rows = []
    for option in parser.getgroup("gameday").options:
        told = option.attrs()
        shown = told.get("metavar") or ""
        name = option.names()[0] + (f"={shown}" if shown else "")
        rows.append([f"`{name}`", str(told["help"])])
    return _table(("option", "what it does"), rows)


def _commands(_: Path, __: Sequence[str]) -> list[str]:
    rows = []
    for name, parser, said in _commands_of(cli.parser()):
        rows.append([f"`gameday {name}`", said])
        rows += [
            [
                f"`gameday {name} {'|'.join(action.option_strings) or _shown(action)}`",
                action.help or "",
            ]
            for action in parser._actions
            if (action.help or action.choices) and action.dest != "help"
        ]
    return _table(("command", "what it does"), rows)


def _commands_of(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help or "" for choice in action._get_subactions()}
            for name, command in action.choices.items():
                yield name, command, said[name]


def _shown(action: argparse.Action) -> str:
    return "|".join(action.choices or ()) or action.dest.upper()


def _exit_codes(_: Path, __: Sequence[str]) -> list[str]:
    rows = [[str(code), meaning] for code, meaning in cli.EXIT_CODES.items()]
    return _table(("code", "meaning"), rows)


def _kinds_table(_: Path, __: Sequence[str]) -> list[str]:
    words = vocabulary()
    rows = []
    for kind in sorted(words.services):
        said = "a store"
        if kind in words.programs:
            said = "runs `program:`"
        elif kind in words.primaries:
            said = f"copies the one service in its `needs:`, a `{words.primaries[kind]}`"
        rows.append([f"`{kind}`", said])
    return _table(("kind", "what it is"), rows)


BLOCKS: Mapping[str, Callable[[Path, Sequence[str]], list[str]]] = {
    "faults": _faults,
    "fault-index": _fault_index,
    "requirements": _requirements,
    "keys": _keys,
    "fields": _fields,
    "findings": _findings,
    "pytest-options": _pytest_options,
    "commands": _commands,
    "exit-codes": _exit_codes,
    "kinds": _kinds_table,
}


def _definition(schema: Schema, name: str) -> Schema:
    return _mapping(_mapping(schema["$defs"])[name])


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Schema]]:
    return isinstance(value, Mapping)


def _mapping(value: object) -> Mapping[str, Schema]:
    assert _is_mapping(value)
    return value


def _listed(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def _kind(shape: Schema) -> str:
    """Return in a word or two what stands under a key."""
    options = shape.get("anyOf")
    if isinstance(options, list):
        said = [_kind(_mapping(one)) for one in options if one != {"type": "null"}]
        return " or ".join(dict.fromkeys(said))
    if isinstance(values := shape.get("enum"), list):
        shown = [f"`{value}`" for value in values[:_MOST_VALUES]]
        return ", ".join([*shown, *(["…"] if len(values) > _MOST_VALUES else [])])
    if "description" in shape and "$ref" not in shape and shape.get("type") == "string":
        return str(shape["description"])
    if "$ref" in shape:
        return "mapping"
    if shape.get("type") == "array":
        return "list"
    named = {"string": "text", "integer": "whole number", "object": "mapping"}
    return named.get(str(shape.get("type")), str(shape.get("type")))


def _default(shape: Schema, needed: bool) -> str:
    if needed:
        return "required"
    default = shape.get("default")
    if default is None or default in ([], "", {}):
        return ""
    return f"`{default}`"


def _json_kind(kind: object) -> str:
    """Return what a field is in JSON."""
    if isinstance(kind, str):
        kind = kind.strip("'\"")
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return f"list of {_json_kind(inner[0])}"
    if origin is not None and _is_mapping_type(origin):
        return f"object of {_json_kind(inner[1])}" if inner else "object"
    if kind == Scalar:
        return "text, number or boolean"
    if inner:
        said = dict.fromkeys(_json_kind(one) for one in inner if one is not type(None))
        return " or ".join([*said, *(["null"] if type(None) in inner else [])])
    simple = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if isinstance(kind, type):
        if kind in simple:
            return simple[kind]
        return "text" if issubclass(kind, str) else f"[{kind.__name__}](#{kind.__name__.lower()})"
    return "text, number or boolean"


def _is_mapping_type(origin: object) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _named(path: str) -> type:
    module, _, name = path.partition(":")
    found: object = getattr(importlib.import_module(module), name)
    assert isinstance(found, type)
    return found


def _summary(kind: type) -> str:
    return " ".join(str(inspect.getdoc(kind)).partition("\n\n")[0].split())


def _kinds(fault: type[Fault]) -> str:
    kinds = sorted(kinds_of(fault))
    return f"Service kinds: {', '.join(kinds)}." if kinds else ""


def _told_of(kind: type, *, keys: bool = True) -> dict[str, str]:
    """Return the docstrings of a class's fields, by the key that people write for each."""
    told: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        module = ast.parse(Path(str(inspect.getsourcefile(one))).read_text(encoding="utf-8"))
        for made in ast.walk(module):
            if isinstance(made, ast.ClassDef) and made.name == one.__name__:
                for name, text in _field_docstrings(made):
                    told[key_of(name) if keys else name] = " ".join(text.split())
    return told


def _field_docstrings(made: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(made.body, made.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield field.target.id, text.value


def main() -> None:
    """Write every page of the reference anew."""
    for page in pages():
        page.write_text(written(page), encoding="utf-8")


if __name__ == "__main__":
    main()
