"""Snapshots: what users and their programs rely on, as text beside the tests that hold it."""

import difflib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

_WRITE = "GAMEDAY_SNAPSHOTS"
_AROUND = 8
"""Lines shown beside each change: in a schema the name of what changed stands above it."""


class Snapshots:
    """The files in `snapshots/` beside one test file."""

    def __init__(self, folder: Path, test: str, write: bool) -> None:
        self._folder = folder
        self._test = test
        self._write = write

    def text(self, name: str, text: str) -> None:
        """Fail unless the snapshot `name` holds this text; write it there when asked to."""
        path = self._folder / name
        text = text.rstrip() + "\n"
        if self._write:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        frozen = path.read_text(encoding="utf-8") if path.is_file() else ""
        if frozen != text:
            pytest.fail(self._told(path.name, frozen, text), pytrace=False)

    def json(self, name: str, value: object) -> None:
        """Hold `value` as it is."""
        self.text(name, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))

    def shape(
        self,
        name: str,
        value: object,
        *,
        keep: Collection[str] = (),
        measured: Collection[str] = (),
        more: str = "",
    ) -> None:
        """Hold each path in `value` with its type; of the keys `keep`, the values as well.

        What is at a path in `measured` is a number, or null where nothing could be measured.
        `more` is text below it.
        """
        lines = _Shape(keep, measured).lines(value)
        self.text(name, "\n".join([*lines, *([more] if more else [])]))

    def _told(self, name: str, frozen: str, now: str) -> str:
        changes = difflib.unified_diff(
            frozen.splitlines(),
            now.splitlines(),
            f"snapshots/{name}",
            "what this code does",
            lineterm="",
            n=_AROUND,
        )
        return "\n".join(
            (
                "Something that users rely on is not what it was:",
                *changes,
                "",
                "If that is not intended, repair the code. If it is, write the snapshot anew,",
                "review its diff, and tell users in CHANGELOG.md:",
                f"    {_WRITE}=write pytest '{self._test}'",
            )
        )


class _Shape:
    """Collects the types that stand at each path of a JSON value."""

    def __init__(self, keep: Collection[str], measured: Collection[str]) -> None:
        self._keep = keep
        self._measured = measured
        self._found: dict[str, set[str]] = {}
        self._objects: dict[str, int] = {}
        self._holding: dict[str, tuple[str, int]] = {}

    def lines(self, value: object) -> Iterator[str]:
        """Yield a line for each path; `?` follows what not each object there has."""
        self._walk(value, "", "")
        for path in sorted(self._found):
            owner, count = self._holding.get(path, ("", self._objects.get("", 0)))
            optional = "?" if count < self._objects.get(owner, 0) else ""
            yield f"{path}{optional}: {' | '.join(sorted(self._found[path]))}"

    def _walk(self, value: object, path: str, key: str) -> None:
        found = self._found.setdefault(path, set()) if path else set()
        match value:
            case dict():
                found.add("object")
                self._objects[path] = self._objects.get(path, 0) + 1
                for name, inner in value.items():
                    below = f"{path}.{name}" if path else str(name)
                    self._holding[below] = (path, self._holding.get(below, ("", 0))[1] + 1)
                    self._walk(inner, below, str(name))
            case list():
                found.add("list")
                for inner in value:
                    self._walk(inner, f"{path}[]", key)
            case None | int() | float() if path in self._measured and not isinstance(value, bool):
                found.add("number or null")
            case _:
                found.add(json.dumps(value) if key in self._keep else _type_of(value))


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


@pytest.fixture
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    """The snapshots beside the test; GAMEDAY_SNAPSHOTS=write writes them anew."""
    asked = os.environ.get(_WRITE, "")
    if asked not in ("", "write"):
        raise pytest.UsageError(
            f"{_WRITE} is {asked!r}; write it as {_WRITE}=write, or leave it out"
        )
    return Snapshots(request.path.parent / "snapshots", request.node.nodeid, asked == "write")
