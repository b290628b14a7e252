"""The words of scenario and target files, and of what comes with gameday."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Snapshots
    from tests.public.conftest import Run

_PROSE = {"title", "description", "$defs"}
_NAMES = {"properties", "patternProperties"}


@pytest.mark.parametrize("file", ["scenario", "target"])
def test_the_words_of_a_file(python: Run, snapshots: Snapshots, file: str) -> None:
    done = python("-m", "gameday", "schema", file)
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    snapshots.json(f"schema-{file}.json", without_prose(schema, schema["$defs"]))


def without_prose(schema: object, named: dict[str, object]) -> object:
    """Leave out what only explains, and put what has a name where it is used.

    No user writes the names of definitions, and the explanations may be written better. The order
    of a list, such as that of all faults, means nothing in a schema.
    """
    if isinstance(schema, list):
        return sorted((without_prose(each, named) for each in schema), key=in_order)
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return without_prose(named[str(schema["$ref"]).removeprefix("#/$defs/")], named)
    return {
        key: (
            {name: without_prose(each, named) for name, each in value.items()}
            if key in _NAMES
            else without_prose(value, named)
        )
        for key, value in schema.items()
        if key not in _PROSE
    }


def in_order(schema: object) -> str:
    """First by what a mapping has to have, such as a fault's name, so that it keeps its place."""
    required = sorted(schema.get("required", ())) if isinstance(schema, dict) else []
    return json.dumps([required, schema], sort_keys=True)


def test_what_comes_with_gameday(python: Run, snapshots: Snapshots) -> None:
    done = python("-m", "gameday", "list")
    assert (done.returncode, done.stderr) == (0, "")
    snapshots.text("list.txt", done.stdout)
