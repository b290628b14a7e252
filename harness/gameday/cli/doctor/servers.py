"""The servers of this host, each tried by starting one and asking it what a run would ask."""

import functools
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex

from gameday.api.environment import Endpoint
from gameday.api.mechanism import Lacking, Mechanism
from gameday.cleanup.labels import labelled, make_folder
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.engine.planning import vocabulary
from gameday.host.waiting import READY_LIMIT_NS, free_ports, release_ports
from gameday.loading import find_target, load_target
from gameday.model.scenario import ServiceSpec, Target
from gameday.model.units import format_duration
from gameday.registry import KINDS
from gameday.resources import bundled
from gameday.runtimes.kinds import with_logins
from gameday.runtimes.process.logs import Logs
from gameday.runtimes.process.service import ProcessService
from gameday.runtimes.variables import Need, process_variables

__all__ = ["kinds_of_the_first_scenario", "scratch", "server_of"]

_LOOPBACK = "127.0.0.1"
_END_LIMIT_S = 5
_FIRST_TARGET = "signals"
"""That of the first scenario, which comes with gameday; of its programs the last is tried."""


@contextmanager
def scratch() -> Iterator[tuple[str, Path]]:
    """Yield a run's id and folder, and leave nothing of either."""
    run = token_hex(4)
    folder = make_folder(run)
    # A server that refuses to be root's reaches its own folder through this one.
    folder.chmod(0o711)
    try:
        yield run, folder
    finally:
        reap(run, in_docker=False)
        shutil.rmtree(folder, ignore_errors=True)
        left = leftovers_of(run, in_docker=False)
        if left:
            raise OSError(f"left behind: {', '.join(left)}")


def _check(kind: str) -> str:
    """Start a server of that kind, after the one that it needs, and wait until both are ready."""
    specs = _specs(kind)
    for spec in specs:
        if absent := KINDS[spec.kind].client_missing():
            raise Lacking(absent.seen, absent.cure)
        lack = KINDS[spec.kind].missing(spec)
        if lack is not None:
            seen, _, cure = lack.partition("; ")
            raise Lacking(seen.removeprefix(f"{spec.name}: "), cure)
    began: list[ProcessService] = []
    ports = dict(zip((spec.name for spec in specs), free_ports(len(specs)), strict=True))
    with (
        scratch() as (run, folder),
        labelled(run),
        Logs({spec.name: folder / f"{spec.name}.log" for spec in specs}) as logs,
    ):
        try:
            for spec in specs:
                service = _service(spec, specs, ports, run, folder, logs)
                began_ns = time.monotonic_ns()
                began.append(service)
                service.start()
                evidence = service.wait_until_ready(READY_LIMIT_NS, lambda: None)
                took = format_duration(time.monotonic_ns() - began_ns)
        finally:
            for service in reversed(began):
                service.ask_to_end()
                service.make_end(_END_LIMIT_S)
            release_ports(ports.values())
    return f"ready in {took}: {evidence}"


def _specs(kind: str) -> tuple[ServiceSpec, ...]:
    """Return a service of that kind, behind the one that it needs, with logins."""
    return with_logins(
        Target(name="trial", title="Trial", path=Path(), services=_plain_specs(kind))
    ).services


def _plain_specs(kind: str) -> tuple[ServiceSpec, ...]:
    made = KINDS[kind]
    if made.primary:
        need = ServiceSpec(name="primary", kind=made.primary)
        return (need, ServiceSpec(name=kind, kind=kind, needs=(need.name,)))
    if made.own:
        return _example_of(kind)
    return (ServiceSpec(name=kind, kind=kind),)


def _service(
    spec: ServiceSpec,
    specs: Sequence[ServiceSpec],
    ports: Mapping[str, int],
    run: str,
    folder: Path,
    logs: Logs,
) -> ProcessService:
    home = folder / spec.name
    needs = [
        Need(spec=other, at=Endpoint(host=_LOOPBACK, port=ports[other.name]))
        for other in specs
        if other.name in spec.needs
    ]
    return ProcessService(
        spec,
        KINDS[spec.kind],
        port=ports[spec.name],
        home=home,
        logs=logs,
        env=process_variables(spec, needs, port=ports[spec.name], home=home, run=run),
    )


@functools.cache
def server_of(kind: str) -> Mechanism:
    """Return what a service of that kind needs of this host."""
    return Mechanism(
        name=f"{kind} in process",
        used_for=f"services of kind {kind}",
        cure="read its output, or start a Docker engine",
        check=partial(_check, kind),
    )


def kinds_of_the_first_scenario() -> tuple[str, ...]:
    """Return the kinds of service that whoever tries gameday will start first."""
    return tuple(dict.fromkeys(spec.kind for spec in _first_target().services))


def _example_of(kind: str) -> tuple[ServiceSpec, ...]:
    """Return a service of a kind that runs programs, after what it needs, as a target has it."""
    specs = {spec.name: spec for spec in _first_target().services}
    *_, example = (spec for spec in specs.values() if spec.kind == kind)
    needs = (ServiceSpec(name=need, kind=specs[need].kind) for need in example.needs)
    made = ServiceSpec(name=kind, kind=kind, program=example.program, needs=example.needs)
    return (*needs, made)


@functools.cache
def _first_target() -> Target:
    words = vocabulary()
    return load_target(find_target(_FIRST_TARGET, [bundled("targets")], words), words)
