"""What a run may name: gameday's own technologies and faults, and those of extensions.

All of it comes by the same doors: the entry points of installed distributions, which are read
once, on first use; and the `pytest_gameday_*` hooks, by which a session adds to them.
"""

import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Generic, TypeGuard, TypeVar, get_args

from gameday.api.fault import Bears, Fault
from gameday.api.finding_kind import FindingKind
from gameday.api.service_kind import ServiceKind
from gameday.api.technology import Technology
from gameday.api.workload import Workload
from gameday.errors import ExtensionError, InternalError
from gameday.escaping import one_line
from gameday.model.listener import Listener
from gameday.model.scenario import Hits

__all__ = [
    "FAULTS",
    "KINDS",
    "Addition",
    "Registry",
    "Reporter",
    "client_of",
    "extend",
    "forget",
    "kinds_of",
    "registry",
    "workload_to",
]

_OWN = "pytest-gameday"
_GROUPS = ("faults", "technologies", "findings", "reporters")

Reporter = Callable[[Path], Listener]
"""Makes a listener of one run, given the folder that the run is reported into."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What one extension adds, for `gameday list`."""

    by: str
    """The distribution and its version, or the plugin whose hook adds it."""
    names: tuple[str, ...]
    """Such as "service memcached" and "fault flush-all"."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registry:
    """Everything that can be named, each by its name."""

    technologies: Mapping[str, Technology] = field(default_factory=dict)
    kinds: Mapping[str, ServiceKind] = field(default_factory=dict)
    workloads: Mapping[str, type[Workload]] = field(default_factory=dict)
    faults: Mapping[str, type[Fault]] = field(default_factory=dict)
    clients: Mapping[str, str] = field(default_factory=dict)
    """Where the load driver finds each client, as "module:object", by the client's name."""
    findings: Mapping[str, FindingKind] = field(default_factory=dict)
    """Those that extensions add to gameday's own."""
    reporters: Mapping[str, Reporter] = field(default_factory=dict)
    """Those that extensions add to gameday's own, each by its name."""
    additions: tuple[Addition, ...] = ()
    """What others than gameday itself add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """One thing that is offered in a group, and by whom."""

    group: str
    by: str
    what: object


_added: list[_Offer] = []


def registry() -> Registry:
    """Return what can be named now; ExtensionError with all that is wrong with extensions."""
    return _registry(tuple(_added))


def extend(group: str, by: str, offered: Iterable[object]) -> None:
    """Add to a group, such as "faults", until `forget`."""
    _added.extend(_Offer(group=group, by=by, what=what) for what in offered)


def forget() -> None:
    """Forget what was added by `extend`; entry points stay."""
    _added.clear()


def client_of(name: str) -> str:
    """Return where the load driver finds a client, as "module:object"."""
    clients = registry().clients
    if name not in clients:
        raise InternalError(f"no client {name!r}; valid: {', '.join(sorted(clients))}")
    return clients[name]


def kinds_of(fault: type[Fault]) -> frozenset[str]:
    """Return the kinds of service, as a target writes them, that a fault can hit; empty: all.

    A fault that not all of them can bear says so in a class variable `kinds`: their names, or what
    tells whether a kind can.
    """
    kinds: Bears | frozenset[str] = getattr(fault, "kinds", frozenset())
    if isinstance(kinds, frozenset):
        return kinds
    return frozenset(name for name, kind in KINDS.items() if kinds(kind))


def workload_to(kind: str) -> type[Workload] | None:
    """Return the workload that goes to services of a kind: the first of its technology, if any."""
    for technology in registry().technologies.values():
        if any(made.name == kind for made in technology.kinds):
            return next(iter(technology.workloads), None)
    return None


class _View(Mapping[str, Item], Generic[Item]):
    """One part of the registry, as it is when it is looked at."""

    def __init__(self, part: Callable[[Registry], Mapping[str, Item]]) -> None:
        self._part = part

    def __getitem__(self, name: str) -> Item:
        return self._part(registry())[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._part(registry()))

    def __len__(self) -> int:
        return len(self._part(registry()))


KINDS: Mapping[str, ServiceKind] = _View(lambda known: known.kinds)
"""Every kind of service by its name."""
FAULTS: Mapping[str, type[Fault]] = _View(lambda known: known.faults)
"""Every fault by its verb."""


@functools.lru_cache(maxsize=2)
def _registry(added: tuple[_Offer, ...]) -> Registry:
    offers, problems = _installed()
    draft = _Draft(list(problems))
    for offer in (*offers, *added):
        draft.take(offer)
    if draft.problems:
        raise ExtensionError(*draft.problems)
    return draft.registry()


@functools.cache
def _installed() -> tuple[tuple[_Offer, ...], tuple[str, ...]]:
    """Return what entry points offer, gameday's own first, and a line on each that is broken."""
    installed = importlib.metadata.entry_points()
    entries = [entry for group in _GROUPS for entry in installed.select(group=f"gameday.{group}")]
    own = [entry for entry in entries if _distribution(entry).startswith(f"{_OWN} ")]
    others = [entry for entry in entries if entry not in own]
    offers = [offer for entry in own for offer in _offered(entry)]
    problems = []
    if not own:
        problems.append(f"{_OWN} is installed without its technologies; install it again")
    for entry in sorted(others, key=_distribution):
        try:
            offers += _offered(entry)
        except Exception as error:
            # Whatever the import of an extension raises, it is the extension that is broken.
            why = one_line(f"{type(error).__name__}: {error}")
            problems.append(
                f"{_distribution(entry)}: its entry point {entry.name} = {entry.value} of "
                f"{entry.group} cannot be loaded: {why}; repair or uninstall it"
            )
    return tuple(offers), tuple(problems)


def _offered(entry: importlib.metadata.EntryPoint) -> Iterator[_Offer]:
    """Load an entry point: one thing, or a tuple or list of several."""
    loaded: object = entry.load()
    for what in loaded if isinstance(loaded, tuple | list) else (loaded,):
        group = entry.group.removeprefix("gameday.")
        yield _Offer(group=group, by=_distribution(entry), what=what)


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


class _Draft:
    """A registry in the making: takes one offer after the other, and notes what is wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self._technologies: dict[str, Technology] = {}
        self._kinds: dict[str, ServiceKind] = {}
        self._workloads: dict[str, type[Workload]] = {}
        self._faults: dict[str, type[Fault]] = {}
        self._clients: dict[str, str] = {}
        self._findings: dict[str, FindingKind] = {}
        self._reporters: dict[str, Reporter] = {}
        self._by: dict[tuple[str, str], str] = {}

    def take(self, offer: _Offer) -> None:
        takes = {
            "technologies": self._take_technology,
            "faults": self._take_fault,
            "findings": self._take_finding,
            "reporters": self._take_reporter,
        }
        takes[offer.group](offer.by, offer.what)

    def registry(self) -> Registry:
        names: dict[str, list[str]] = {}
        for (what, name), by in self._by.items():
            if not by.startswith(f"{_OWN} "):
                names.setdefault(by, []).append(f"{what} {name}")
        return Registry(
            technologies=self._technologies,
            kinds=self._kinds,
            workloads=self._workloads,
            faults=self._faults,
            clients=self._clients,
            findings=self._findings,
            reporters=self._reporters,
            additions=tuple(Addition(by=by, names=tuple(all_)) for by, all_ in names.items()),
        )

    def _take_technology(self, by: str, technology: object) -> None:
        if not isinstance(technology, Technology):
            self._is_no("Technology", by, technology)
            return
        if not self._is_new("technology", technology.name, by):
            return
        self._technologies[technology.name] = technology
        for kind in technology.kinds:
            self._take_kind(by, kind)
        for workload in technology.workloads:
            if self._is_new("workload", workload.verb, by):
                self._workloads[workload.verb] = workload
                self._clients[workload.verb] = workload.client
        for fault in technology.faults:
            self._take_fault(by, fault)

    def _take_kind(self, by: str, kind: object) -> None:
        if not isinstance(kind, ServiceKind):
            self._is_no("ServiceKind", by, kind)
        elif self._is_new("service", kind.name, by):
            self._kinds[kind.name] = kind
            if kind.probe is not None and self._is_new("probe", kind.probe.name, by):
                self._clients[kind.probe.name] = kind.probe.client

    def _take_fault(self, by: str, fault: object) -> None:
        if not _is_fault(fault):
            self._is_no("class of a Fault", by, fault)
        elif self._is_new("fault", fault.verb, by):
            self._faults[fault.verb] = fault

    def _take_finding(self, by: str, kind: object) -> None:
        if not isinstance(kind, FindingKind):
            self._is_no("FindingKind", by, kind)
        elif self._is_new("finding", kind.name, by):
            self._findings[kind.name] = kind

    def _take_reporter(self, by: str, reporter: object) -> None:
        name = getattr(reporter, "__name__", "")
        if not (callable(reporter) and name):
            self._is_no("class or function that makes a Listener", by, reporter)
        elif self._is_new("reporter", name, by):
            self._reporters[name] = reporter

    def _is_no(self, wanted: str, by: str, what: object) -> None:
        self.problems.append(f"{by}: {one_line(repr(what))} is no {wanted}; repair or uninstall it")

    def _is_new(self, what: str, name: str, by: str) -> bool:
        """Note who adds a name; two of one name are a problem."""
        first = self._by.get((what, name))
        if first is None:
            self._by[what, name] = by
            return True
        self.problems.append(
            f"{by}: adds the {what} {name!r}, which comes with {first} already; "
            "rename it or uninstall one of the two"
        )
        return False


def _is_fault(what: object) -> TypeGuard[type[Fault]]:
    return (
        isinstance(what, type)
        and is_dataclass(what)
        and isinstance(getattr(what, "verb", None), str)
        and getattr(what, "hits", None) in get_args(Hits)
        and callable(getattr(what, "on", None))
    )
