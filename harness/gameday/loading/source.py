"""A YAML file as plain data with the line and column of every key and value."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from gameday.errors import ScenarioError

__all__ = [
    "Plain",
    "Source",
    "Spot",
    "Where",
    "composed",
    "nearest",
    "one_of",
    "quoted",
    "refuse",
    "spell",
    "unwritable",
]

Plain = dict[str, "Plain"] | list["Plain"] | str | int | float | bool | None
Where = tuple[str | int, ...]
"""The keys and indexes that lead from the top of a file to a value."""

_LONGEST_SHOWN = 60
_MOST_NAMED = 80
# Octal to YAML, and a number to the base of 60.
_DOUBTFUL = re.compile(r"[+-]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
_UNWRITABLE = re.compile("[\ud800-\udfff\x00]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a value stands in the file, where its key stands, and how it is written there."""

    value: tuple[int, int]
    key: tuple[int, int] | None = None
    text: str | None = None
    """The scalar as written, with parameters put in; None for lists and mappings."""
    spoilt: bool = False
    """Whether the value was already complained about, so that it is not judged again."""
    origin: str = ""
    """Where the text comes from, when not all of it stands here, such as "from ${x}, line 6"."""


@dataclass(slots=True)
class Source:
    """One file's content with its positions, and its problems so far."""

    path: Path
    plain: Plain = None
    spots: dict[Where, Spot] = field(default_factory=dict)
    problems: dict[tuple[int, int, str], None] = field(default_factory=dict)
    """(line, column, text) in the order of discovery; one problem is told once."""
    appendix: list[str] = field(default_factory=list)
    """Whole lines about other files that this one rests on."""

    def complain(self, where: Where, text: str, *, at_key: bool = False) -> None:
        """Note a problem at `where`, at its key if wanted, else at the nearest thing around it."""
        known = where
        while known and known not in self.spots:
            known = known[:-1]
        spot = self.spots.get(known, Spot(value=(1, 1)))
        wants_key = at_key or known != where
        if spot.origin and not wants_key:
            text += f" ({spot.origin})"
        self.complain_at(spot.key if wants_key and spot.key else spot.value, where, text)

    def complain_of_invalid(self, where: Where, misfits: Iterable[tuple[str, str]]) -> None:
        """Note each key under `where` whose value is none of what is wanted of it."""
        for key, wanted in misfits:
            place = (*where, key)
            given = "is left out"
            if place in self.spots:
                given = f"{self.seen(place, self.at(place))} is given"
            self.complain(place, f"{given}; wanted {wanted}")

    def complain_at(self, position: tuple[int, int], where: Where, text: str) -> None:
        """Note a problem at a line and column."""
        path = f"{spell(where)}: " if where else ""
        self.problems[(*position, f"{path}{text}")] = None

    def at(self, where: Where) -> Plain:
        """Return the value at `where`; None when there is none."""
        value = self.plain
        for part in where:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def seen(self, where: Where, value: object) -> str:
        """Return how people would name what stands at `where`."""
        spot = self.spots.get(where)
        text = spot.text if spot is not None else None
        match value:
            case None:
                return "nothing"
            case bool():
                return text or str(value).lower()
            case int() | float():
                return text or str(value)
            case str():
                return quoted(value)
            case list() | tuple():
                return "a list"
            case _:
                return "a mapping"

    @property
    def lines(self) -> list[str]:
        """The problems in the order of the file, each as `file:line:column: path: what`."""
        in_order = sorted(self.problems, key=lambda problem: problem[:2])
        own = [f"{self.path}:{line}:{column}: {text}" for line, column, text in in_order]
        return own + self.appendix

    def _complain_of_doubtful(self) -> None:
        """Note numbers that YAML reads otherwise than people do, where nothing else is wrong."""
        told = {problem[:2] for problem in self.problems}
        for where, spot in self.spots.items():
            if spot.text is None or spot.value in told or not _DOUBTFUL.fullmatch(spot.text):
                continue
            value = self.at(where)
            if isinstance(value, int | float):
                text = f"{spot.text} is {value} to YAML; write {value}, or the value you mean"
                self.complain(where, text)

    def refuse_if_wrong(self) -> None:
        """Raise ScenarioError with all problems, if there are any."""
        self._complain_of_doubtful()
        if self.problems:
            raise ScenarioError(*self.lines)


def refuse(path: Path, text: str, position: tuple[int, int] = (1, 1)) -> NoReturn:
    """Raise ScenarioError for what leaves nothing else to look at in `path`."""
    line, column = position
    raise ScenarioError(f"{path}:{line}:{column}: {text}")


def spell(where: Where) -> str:
    """Return a path as people write it: `faults[0].for`."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w./-]{1,60}", part):
            text += f".{part}" if text else part
        else:
            text += f"[{quoted(part)}]"
    return text


def quoted(text: str) -> str:
    """Return the text in quotes, on one line and never long."""
    shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
    return repr(shown)


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that was most probably meant."""
    if len(word) > _LONGEST_SHOWN:
        return None
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1)
    if near:
        return lower[near[0]]
    # Some parts of it: "mttr" is meant as "arbees/mttr", and "latency_p99" as "p99".
    parts = _parts(word)
    alike = [name for name in known if parts and (_parts(name) <= parts or parts <= _parts(name))]
    return alike[0] if alike else None


def _parts(name: str) -> set[str]:
    return {part for part in re.split(r"[^a-z0-9]+", name.lower()) if part}


def one_of(word: str, known: Collection[str]) -> str:
    """Return the end of a message: what is valid and which of it is the nearest to `word`."""
    if not known:
        return "; there are none"
    near = nearest(word, known)
    named = [name if len(name) <= _LONGEST_SHOWN else quoted(name) for name in known]
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"and {len(named) - _MOST_NAMED} more"]
    return f"; valid: {', '.join(named)}" + (f"; nearest: {quoted(near)}" if near else "")


def composed(name: str) -> str:
    """Return a name with each letter and its accents as one character, as most keyboards do.

    Some file systems keep `é` as two: the same name, and not the same text.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def unwritable(text: str) -> str:
    """Return why no file or program can be given the text; empty when any can."""
    found = _UNWRITABLE.search(text)
    if found is None:
        return ""
    if found[0] == "\0":
        return "the character NUL is not allowed in a variable or a file name"
    return "contains half of a character"
