"""`${name}` stands for a parameter's value: its default, or what the caller sets."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from gameday.loading.schema_types import Name
from gameday.loading.source import Source, one_of, quoted

__all__ = ["Parameter", "Parameters", "Swept", "combinations", "complain_of_many"]

_USE = re.compile(r"\$\{([^}]*)\}")
_MOST_COMBINATIONS = 1_000


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A value that may be changed from outside, and the values that a sweep tries."""

    default: str
    """The value unless another is set."""
    sweep: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The values that `--gameday-sweep` tries."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """The only key of a scenario file that its sweeps depend on."""

    parameters: Mapping[Name, Parameter] = field(default_factory=dict)


class Parameters:
    """The values of a scenario's parameters, and which of them the file uses."""

    def __init__(
        self, source: Source, settings: Mapping[str, str], set_by: Mapping[str, str]
    ) -> None:
        """Take the raw `parameters:` of `source`; their shape is judged with the whole form.

        `set_by` says where some of the settings come from.
        """
        section = source.at(("parameters",))
        entries = section if isinstance(section, dict) else {}
        self._names = tuple(entries)
        self._used: set[str] = set()
        self.values: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        for name, entry in entries.items():
            default = entry.get("default") if isinstance(entry, dict) else None
            value = settings.get(name, default)
            if isinstance(value, str):
                self.values[name] = value
                spot = source.spots.get(("parameters", name, "default"))
                line = "its default" if spot is None else f"line {spot.value[0]}"
                origin = set_by.get(name, f"set to {quoted(value)}") if name in settings else line
                self._origins[name] = f"${{{name}}}, {origin}"

    def substitute(self, text: str) -> tuple[str, list[str], str]:
        """Return the text with its parameters put in, what is wrong, and where they come from."""
        wrong: list[str] = []
        origins: list[str] = []

        def value_of(match: re.Match[str]) -> str:
            name = match[1].strip()
            self._used.add(name)
            if name not in self._names:
                wrong.append(f"unknown parameter {quoted(match[0])}{one_of(name, self._names)}")
            elif name not in self.values:
                wrong.append(f"the parameter {quoted(name)} has no default")
            origins.append(self._origins.get(name, match[0]))
            return self.values.get(name, match[0])

        put_in = _USE.sub(value_of, text)
        return put_in, wrong, f"from {' and '.join(dict.fromkeys(origins))}" if origins else ""

    def complain_of_unused(self, source: Source, settings: Mapping[str, str]) -> None:
        """Note the settings that set nothing, and the parameters that nothing uses."""
        complain_of_unknown(source, settings)
        for name in self._names:
            if name not in self._used:
                source.complain(
                    ("parameters", name),
                    f"is never used; write ${{{name}}} where it belongs",
                    at_key=True,
                )


def complain_of_unknown(source: Source, settings: Mapping[str, str]) -> None:
    """Note the settings that the file has no parameter for."""
    section = source.at(("parameters",))
    names = tuple(section) if isinstance(section, dict) else ()
    for name in settings:
        if name not in names:
            source.complain(
                ("parameters",),
                f"there is no parameter {quoted(name)} to set{one_of(name, names)}",
                at_key=True,
            )


def complain_of_many(
    source: Source, parameters: Mapping[str, Parameter], settings: Mapping[str, str]
) -> None:
    """Note it when the sweeps give more runs than anybody waits for."""
    count = math.prod(len(values) for values in _sweeps(parameters, settings).values())
    if count > _MOST_COMBINATIONS:
        source.complain(
            ("parameters",),
            f"the sweeps give {count} runs; at most {_MOST_COMBINATIONS} are allowed",
            at_key=True,
        )


def _sweeps(
    parameters: Mapping[str, Parameter], settings: Mapping[str, str]
) -> Mapping[str, tuple[str, ...]]:
    return {
        name: parameter.sweep
        for name, parameter in parameters.items()
        if parameter.sweep is not None and name not in settings
    }


def combinations(
    source: Source, swept: Swept, settings: Mapping[str, str]
) -> tuple[Mapping[str, str], ...]:
    """Return every combination of the swept values; what is set from outside is not swept."""
    complain_of_unknown(source, settings)
    complain_of_many(source, swept.parameters, settings)
    sweeps = _sweeps(swept.parameters, settings)
    source.refuse_if_wrong()
    return tuple(
        dict(zip(sweeps, values, strict=True)) for values in itertools.product(*sweeps.values())
    )
