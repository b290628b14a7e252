"""What operations a run makes: its load, and probes of what the faults hit."""

from collections.abc import Iterator, Sequence
from typing import cast

from gameday.api.service_kind import Probe
from gameday.api.workload import Workload
from gameday.model.clock import SECOND
from gameday.model.plan import PlannedStream
from gameday.model.scenario import CLIENT, Edge, FaultSpec, FaultStep, Scenario, Target
from gameday.model.targeting import RequestPath, services_of
from gameday.registry import KINDS

__all__ = ["met_by", "plan_streams", "request_path_of_load"]

PROBE_RATE_PER_S = 50.0
"""How often each probe asks, beside the workload."""
PROBE_DEADLINE_NS = SECOND


def plan_streams(scenario: Scenario, target: Target) -> tuple[PlannedStream, ...]:
    """Return the workload's stream, and probes of what the faults hit.

    The first store that the first fault hits is written to on both of its paths, so that the
    recovery can be told from what the proxy adds. What neither these nor the load come by gets a
    probe of its own.
    """
    streams = [_load(scenario), *_both_paths(scenario, target)]
    for step in scenario.faults:
        if not any(_request_path_of(s, scenario, target).meets(step.fault) for s in streams):
            streams += _probe_of(step.fault, target)
    return tuple(streams)


def met_by(
    step: FaultStep, streams: Sequence[PlannedStream], scenario: Scenario, target: Target
) -> tuple[str, ...]:
    """Return the names of the streams whose operations count as having met a fault.

    Probes, which the harness itself adds, count only where the scenario says so.
    """
    verb = scenario.workload[0].verb
    load = [verb] if request_path_of_load(scenario, target).meets(step.fault) else []
    if step.met_by == "load":
        return tuple(load)
    probes = [s for s in streams if s.client != verb]
    met = (s.name for s in probes if _request_path_of(s, scenario, target).meets(step.fault))
    return (*load, *met)


def request_path_of_load(scenario: Scenario, target: Target) -> RequestPath:
    """Return what the load reaches, as far as the target declares it."""
    return RequestPath.of_load(target, scenario.workload[0]).with_readers(target)


def _request_path_of(stream: PlannedStream, scenario: Scenario, target: Target) -> RequestPath:
    """Return what the operations of a stream come through."""
    if stream.client == scenario.workload[0].verb:
        return RequestPath.of_load(target, scenario.workload[0])
    client, arrow, service = stream.edge.rpartition(" -> ")
    return RequestPath.through(
        target, [service], Edge(client=client, service=service) if arrow else None
    )


def _load(scenario: Scenario) -> PlannedStream:
    load = cast(Workload, scenario.workload[0])
    return PlannedStream(
        name=load.verb,
        client=load.verb,
        edge=str(Edge(client=CLIENT, service=load.to)),
        rate_per_s=load.rate_per_s,
        deadline_ns=load.deadline_ns,
    )


def _both_paths(scenario: Scenario, target: Target) -> Iterator[PlannedStream]:
    hit = scenario.faults[0].fault.target
    for service in services_of(hit):
        probe = _probe_of_kind(service, target)
        if probe is not None and probe.writes:
            front = hit if "->" in hit else str(Edge(client=CLIENT, service=service))
            for name, edge in (("probe-front", front), ("probe-direct", service)):
                yield _stream(name, edge, probe)
            return


def _probe_of(fault: FaultSpec, target: Target) -> Iterator[PlannedStream]:
    """Yield a probe through the front of the edge that is hit, or of a service that meets it."""
    hit = fault.target
    for service in services_of(hit):
        front = hit if "->" in hit else str(Edge(client=CLIENT, service=service))
        client, _, _ = front.partition(" -> ")
        first = Edge(client=client, service=service)
        probe = _probe_of_kind(service, target)
        if probe is not None and RequestPath.through(target, [service], first).meets(fault):
            name = service if client == CLIENT else f"{client}-{service}"
            yield _stream(f"probe-{name}", front, probe)
            return


def _probe_of_kind(service: str, target: Target) -> Probe | None:
    """Return how a service is probed; None: nobody knows, for its kind."""
    (probe,) = (KINDS[spec.kind].probe for spec in target.services if spec.name == service)
    return probe


def _stream(name: str, edge: str, probe: Probe) -> PlannedStream:
    return PlannedStream(
        name=name,
        client=probe.name,
        edge=edge,
        rate_per_s=PROBE_RATE_PER_S,
        deadline_ns=PROBE_DEADLINE_NS,
    )
