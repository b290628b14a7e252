"""Target files: the services of a system under test and what can be switched off in it."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gameday.errors import ScenarioError
from gameday.loading.document import expand
from gameday.loading.parsing import SUFFIXES, read_node
from gameday.loading.scenario import schema_of
from gameday.loading.schema_parsing import fill
from gameday.loading.schema_types import Item, build, columns, item, shaped
from gameday.loading.source import Source, composed, one_of, quoted
from gameday.loading.variables import check_variables
from gameday.model.scenario import CLIENT, ServiceSpec, Switch, Target, Vocabulary
from gameday.resources import bundled

__all__ = ["find_target", "load_target", "target_schema"]

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,59}$")]

_SMALLEST, _LARGEST = 4_000_000, 1_000_000_000
_LEAST_HELD, _MOST_HELD = 16_000_000, 1_000_000_000_000
_FEWEST, _MOST_PIDS = 16, 100_000
_ROOT_HAS = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", "setup.py", ".git")


@dataclass(frozen=True, kw_only=True)
class _TargetFile:
    """The keys of a target file."""

    target: str
    """The name of the target, which is the name of its folder."""
    title: str
    """One line for people."""
    services: Mapping[str, Item]
    """The services by name."""
    switches: Mapping[_Name, Switch] = field(default_factory=dict)
    """What a sabotage can turn off, by name."""


def find_target(name: str, folders: Iterable[Path], vocabulary: Vocabulary) -> Path:
    """Return the file of a target; ScenarioError with the known names when there is none.

    A target without a service that runs a program is not offered: no load can be sent to it.
    """
    known = {
        composed(path.parent.name): path
        for folder in reversed(tuple(folders))
        for suffix in reversed(SUFFIXES)
        for path in sorted(folder.glob(f"*/target{suffix}"))
    }
    if composed(name) not in known:
        offered = [other for other in sorted(known) if _serves(known[other], vocabulary)]
        raise ScenarioError(f"no target {quoted(name)}{one_of(name, offered)}")
    return known[composed(name)]


def _serves(path: Path, vocabulary: Vocabulary) -> bool:
    try:
        target = load_target(path, vocabulary)
    except ScenarioError:
        return True  # nobody knows: it is to be mended
    return any(spec.kind in vocabulary.programs for spec in target.services)


def load_target(path: Path, vocabulary: Vocabulary) -> Target:
    """Return the target of a file; ScenarioError with all problems."""
    source = expand(path, read_node(path))
    file = fill(_form(), source, _TargetFile, apart=("services", "switches"))
    places = _places(path)
    specs = [
        build(ServiceSpec, {**entry.values, "name": name, "places": places})
        for name, entry in (file.services or {}).items()
    ]
    written = source.at(("services",))
    if isinstance(written, dict):
        _check_names(source, list(written), vocabulary)
        _check_services(source, specs, list(written), vocabulary)
        _check_switches(source, file.switches or {}, list(written))
        check_variables(source, specs, file.switches or {}, vocabulary)
    folder = path.resolve().parent.name
    if file.target is not None and composed(file.target) != composed(folder):
        text = f"{quoted(file.target)} is not the name of its folder; write {quoted(folder)}"
        source.complain(("target",), text)
    source.refuse_if_wrong()
    return Target(
        name=file.target,
        title=file.title,
        path=path,
        services=tuple(specs),
        switches=file.switches,
    )


def target_schema() -> dict[str, object]:
    """Return the JSON Schema of target files."""
    return schema_of(_form())


def _places(path: Path) -> tuple[Path, ...]:
    """Return where a target's programs are: its folder, the one above, the root of the project.

    That is where the settings of Python's tools are, or else where the folder of targets is.
    Packages may be in its `src`.
    """
    folder = path.resolve().parent
    targets = folder.parent
    if targets == bundled("targets").resolve():
        return (folder, targets)
    labelled = (p for p in targets.parents if any((p / name).exists() for name in _ROOT_HAS))
    root = next(labelled, targets.parent)
    sources = [root / "src"] if (root / "src").is_dir() else []
    return tuple(dict.fromkeys((folder, targets, targets.parent, root, *sources)))


@functools.cache
def _form() -> type:
    service = item("service", columns(ServiceSpec, without=("name", "places", "logins")))
    services = Annotated[Mapping[_Name, service], Field(min_length=1)]  # type: ignore[valid-type]
    return shaped(_TargetFile, {"services": services})


def _check_names(source: Source, names: list[str], vocabulary: Vocabulary) -> None:
    """Check what services are called and what they name, also in those that are wrong otherwise."""
    kinds = tuple(sorted(vocabulary.services))
    for name in names:
        where = ("services", name)
        if name == CLIENT:
            text = f"{CLIENT!r} is reserved for the harness's own connections; choose another name"
            source.complain(where, text, at_key=True)
        kind = source.at((*where, "kind"))
        if isinstance(kind, str) and kind not in vocabulary.services:
            text = f"{quoted(kind)} is not a kind of service{one_of(kind, kinds)}"
            source.complain((*where, "kind"), text)
        needs = source.at((*where, "needs"))
        others = [other for other in names if other != name]
        for i, need in enumerate(needs if isinstance(needs, list) else ()):
            if isinstance(need, str) and need not in others:
                text = f"{quoted(need)} is not another service{one_of(need, others)}"
                source.complain((*where, "needs", i), text)


def _check_services(
    source: Source, specs: list[ServiceSpec], names: list[str], vocabulary: Vocabulary
) -> None:
    """Check those services whose form is right; `names` are those of all."""
    for spec in specs:
        where = ("services", spec.name)
        if spec.kind in vocabulary.programs and spec.program is None:
            text = f"a service of kind {spec.kind!r} runs a program; name it: 'program: apps.mine'"
            source.complain(where, text, at_key=True)
        _check_program(source, spec, vocabulary)
        if spec.disk_bytes is not None and not _SMALLEST <= spec.disk_bytes <= _LARGEST:
            source.complain_of_invalid(where, [("disk", "4MB to 1GB: it is in memory")])
        if spec.memory_bytes is not None and not _LEAST_HELD <= spec.memory_bytes <= _MOST_HELD:
            source.complain_of_invalid(where, [("memory", "16MB to 1TB")])
        if spec.pids is not None and not _FEWEST <= spec.pids <= _MOST_PIDS:
            source.complain_of_invalid(where, [("pids", "16 to 100000")])
        for i, need in enumerate(spec.needs):
            if need in spec.needs[:i]:
                source.complain((*where, "needs", i), f"{quoted(need)} is listed twice")
        _check_primary(source, spec, specs, vocabulary)
    graph = {spec.name: {need for need in spec.needs if need != spec.name} for spec in specs}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = [str(name) for name in reversed(error.args[1])]
        first = min(range(len(circle) - 1), key=lambda i: names.index(circle[i]))
        circle = [*circle[first:-1], *circle[: first + 1]]
        text = f"the services need each other in a circle: {' -> '.join(circle)}"
        source.complain(("services", circle[0], "needs"), text, at_key=True)


def _check_program(source: Source, spec: ServiceSpec, vocabulary: Vocabulary) -> None:
    if spec.program is None or spec.kind not in vocabulary.services:
        return
    where = ("services", spec.name, "program")
    if spec.kind not in vocabulary.programs:
        what = " or ".join(sorted(vocabulary.programs))
        text = f"a service of kind {spec.kind!r} runs no program, only one of kind {what} does"
        source.complain(where, f"{text}; remove the key", at_key=True)
    elif spec.image is None and not vocabulary.is_program(spec):
        # An image of the target's own may have it.
        folders = ", ".join(dict.fromkeys(map(str, spec.places)))
        text = f"{quoted(spec.program)} is not a module that Python can run here"
        source.complain(where, f"{text}; it is looked for in {folders}, and in what is installed")


def _check_primary(
    source: Source, spec: ServiceSpec, specs: list[ServiceSpec], vocabulary: Vocabulary
) -> None:
    wanted = vocabulary.primaries.get(spec.kind)
    kinds = {other.name: other.kind for other in specs}
    if wanted is None or not kinds.keys() >= set(spec.needs):
        return
    if [kinds[need] for need in spec.needs] == [wanted]:
        return
    known = [name for name, kind in kinds.items() if kind == wanted]
    needed = ", ".join(spec.needs) or "none"
    text = (
        f"a {spec.kind} needs exactly one service, the {wanted} that it copies, and needs {needed}"
    )
    if len(known) == 1:
        text += f"; write 'needs: [{known[0]}]'"
    elif not known:
        text += f"; this target has no service of kind {wanted!r}"
    source.complain(("services", spec.name), text, at_key=True)


def _check_switches(source: Source, switches: Mapping[str, Switch], services: list[str]) -> None:
    for name, switch in switches.items():
        where = ("switches", name)
        if switch.service not in services:
            text = f"{quoted(switch.service)} is not a service{one_of(switch.service, services)}"
            source.complain((*where, "service"), text)
        if not switch.env and not switch.options:
            source.complain(where, "switches nothing; give it env or options", at_key=True)
