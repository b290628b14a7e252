"""Checks variables of a target: every name in `${}` must be one that the service gets."""

import re
from collections.abc import Mapping, Sequence

from gameday.loading.source import Source, Where, one_of, quoted
from gameday.model.expansion import is_closed, names_in, prefix_of
from gameday.model.scenario import ServiceSpec, Switch, Vocabulary

__all__ = ["check_variables"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_variables(
    source: Source,
    specs: Sequence[ServiceSpec],
    switches: Mapping[str, Switch],
    vocabulary: Vocabulary,
) -> None:
    """Check `env` and `pass_env` of each service, and what the switches add to `env`."""
    known = {spec.name: spec for spec in specs}
    for spec in specs:
        where = ("services", spec.name)
        told = _told(spec, known, vocabulary)
        _check_names(source, spec, known, told)
        _check_env(source, (*where, "env"), spec.env, told, spec.program is not None)
    for name, switch in switches.items():
        if switch.service in known:
            spec = known[switch.service]
            told = _told(spec, known, vocabulary)
            place = ("switches", name, "env")
            _check_env(source, place, switch.env, told, spec.program is not None)


def _told(
    spec: ServiceSpec, known: Mapping[str, ServiceSpec], vocabulary: Vocabulary
) -> tuple[str, ...]:
    """Return the names that gameday gives a service."""
    about = [
        f"{prefix_of(need)}_{name}"
        for need in spec.needs
        if need in known
        for name in vocabulary.told.get(known[need].kind, ())
    ]
    return (*about, *vocabulary.own.get(spec.kind, ()))


def _check_names(
    source: Source,
    spec: ServiceSpec,
    known: Mapping[str, ServiceSpec],
    told: Sequence[str],
) -> None:
    where = ("services", spec.name)
    first: dict[str, str] = {}
    for i, need in enumerate(spec.needs):
        other = first.setdefault(prefix_of(need), need)
        if other != need and need in known:
            text = (
                f"{other!r} and {need!r} would both be given as {prefix_of(need)}_HOST; rename one"
            )
            source.complain((*where, "needs", i), text)
    for i, name in enumerate(spec.pass_env):
        place = (*where, "pass_env", i)
        if not _NAME.fullmatch(name):
            source.complain(place, _no_name(name))
        elif name in told:
            source.complain(place, f"{name!r} is set by gameday itself")
        elif name in spec.env:
            source.complain(place, f"{name!r} is already set by env; remove one of the two")


def _check_env(
    source: Source, where: Where, env: Mapping[str, str], told: Sequence[str], expands: bool
) -> None:
    for key, value in env.items():
        place = (*where, key)
        if not _NAME.fullmatch(key):
            source.complain(place, _no_name(key), at_key=True)
        if not expands:
            if names_in(value):
                text = "is not substituted here, only in the env of a service that runs a program"
                source.complain(place, f"${{{names_in(value)[0]}}} {text}")
            continue
        for name in dict.fromkeys(names_in(value)):
            if name not in told:
                text = f"{quoted(f'${{{name}}}')} is not a variable that this service gets"
                source.complain(place, f"{text}{one_of(name, told)}; '$${{' for the text '${{'")
        if not is_closed(value):
            source.complain(place, "'${' lacks its '}'; write '$${' for the text '${'")


def _no_name(name: str) -> str:
    return f"{quoted(name)} is not the name of a variable; use letters, digits and '_'"
