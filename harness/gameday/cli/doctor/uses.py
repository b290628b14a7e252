"""What each kind of service and each fault is going to use here, by what it demands itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gameday.api.fault import Requirements
from gameday.api.mechanism import Mechanism, Trial, trial
from gameday.cli.doctor.capabilities import PROXY
from gameday.cli.doctor.requirements import variants
from gameday.cli.doctor.servers import server_of
from gameday.model.scenario import ServiceSpec
from gameday.registry import FAULTS, KINDS, kinds_of
from gameday.runtimes.mechanisms.containers import ENGINE
from gameday.runtimes.mechanisms.storage import BOUNDED_DISK

__all__ = ["Use", "uses"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a fault, or a service of some kind, is going to use in one environment of this host."""

    runtime: str
    what: str
    """The fault's verb, or "app service"."""
    when: str = ""
    """The settings that this is about, such as "until oom"; empty: all."""
    by: tuple[str, ...] = ()
    """The mechanisms; empty: the services and the proxies before their edges are enough."""
    refused: str = ""
    """Why a scenario with it is refused in that environment; empty: it is not."""


Try = Callable[[Mechanism], Trial]


def uses(runtime: str, tried: Try = trial) -> Iterator[Use]:
    """Yield it for every kind of service and every fault, by what came of trying mechanisms."""
    for name, kind in KINDS.items():
        if runtime == "docker":
            by = f"image {kind.image(ServiceSpec(name=name, kind=name))}"
            _, refused = _given(runtime, Requirements(), tried)
        else:
            by = "a server of this host"
            _, refused = _given(runtime, Requirements(mechanisms=(server_of(name),)), tried)
        absent = kind.client_missing()
        if absent is not None:
            refused = refused or f"{absent.seen}; {absent.cure}"
        what = f"{name} service"
        yield Use(runtime=runtime, what=what, by=() if refused else (by,), refused=refused)
    for verb, fault in FAULTS.items():
        told: dict[tuple[tuple[str, ...], str], list[Mapping[str, object]]] = {}
        for settings, requirements in variants(fault, runtime):
            given, refused = _given(runtime, requirements, tried)
            refused = refused or _no_server(runtime, sorted(kinds_of(fault)), tried)
            told.setdefault((() if refused else given, refused), []).append(settings)
        every = [settings for some in told.values() for settings in some]
        for (given, refused), some in told.items():
            yield Use(
                runtime=runtime, what=verb, when=_apart(some, every), by=given, refused=refused
            )


def _given(runtime: str, requirements: Requirements, tried: Try) -> tuple[tuple[str, ...], str]:
    """Return what stands for the demands here, and why they cannot be met, if they cannot."""
    basis = ENGINE if runtime == "docker" else PROXY
    if not tried(basis).works:
        return (), f"{basis.name}: {tried(basis).seen}"
    if requirements.impossible:
        return (), requirements.impossible
    by: list[str] = []
    for mechanism in _mechanisms(runtime, requirements):
        means = mechanism.name if tried(mechanism).works else mechanism.instead
        if not means:
            return (), f"{mechanism.name}: {tried(mechanism).seen}"
        by.append(means)
    return tuple(by), ""


def _mechanisms(runtime: str, requirements: Requirements) -> Iterator[Mechanism]:
    if runtime == "docker" and requirements.features.own_proxy:
        yield PROXY
    if runtime == "process" and requirements.bounded_disk:
        yield BOUNDED_DISK
    yield from requirements.mechanisms


def _no_server(runtime: str, kinds: Sequence[str], tried: Try) -> str:
    """Return why none of the kinds that a fault can hit runs here; empty: one does, or any can."""
    if runtime == "docker" or not kinds:
        return ""
    found = {kind: tried(server_of(kind)) for kind in kinds}
    if any(one.works for one in found.values()):
        return ""
    return "; ".join(f"{server_of(kind).name}: {one.seen}" for kind, one in found.items())


def _apart(some: list[Mapping[str, object]], every: list[Mapping[str, object]]) -> str:
    """Return which values of which settings tell these variants from the others; empty: none."""
    said = []
    for name in every[0]:
        values = [str(value) for value in dict.fromkeys(settings[name] for settings in some)]
        if set(values) != {str(settings[name]) for settings in every}:
            said.append(f"{name} {', '.join(values)}")
    return "; ".join(said) or ("otherwise" if len(some) < len(every) else "")
